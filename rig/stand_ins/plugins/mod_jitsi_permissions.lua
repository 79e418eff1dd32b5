-- Stand-in (test double) for Jitsi's mod_jitsi_permissions: not Jitsi's code.
-- Whoever becomes a moderator without features in the token gets the features of the moderator who made
-- them one, or else the default ones, and is told so in their own presence.
local filters = require "util.filters";
local jid = require "util.jid";
local util = module:require "util";

local prefix = module:get_option_string("muc_mapper_domain_prefix", "conference");
local base = module:get_option_string("muc_mapper_domain_base");
if not base then
	module:log("warn", "Without muc_mapper_domain_base nobody gets features");
	return;
elseif module.host ~= prefix .. "." .. base then
	return; -- breakout rooms
end

local defaults = module:get_option("jitsi_default_permissions", {
	livestreaming = true, recording = true, transcription = true, flip = true,
	["outbound-call"] = true, ["create-polls"] = true, ["send-groupchat"] = true,
	["live-translation"] = true, ["live-translation-subscribe"] = true,
});

local function session_in(room, address)
	for _, occupant in room:each_occupant() do
		if occupant.bare_jid == address then
			return prosody.full_sessions[occupant.jid];
		end
	end
end

local function grant(from, to)
	to.jitsi_meet_context_features = from.jitsi_meet_context_features;
	local user = from.jitsi_meet_context_user;
	if user then
		to.granted_jitsi_meet_context_user_id = user.id or from.granted_jitsi_meet_context_user_id;
	end
	to.granted_jitsi_meet_context_group_id
		= from.jitsi_meet_context_group or from.granted_jitsi_meet_context_group_id;
	to.force_permissions_update = true;
end

local function revoke(session)
	session.granted_jitsi_meet_context_user_id = nil;
	session.granted_jitsi_meet_context_group_id = nil;
	if not session.auth_token then
		session.jitsi_meet_context_features = nil;
	end
end

module:hook("muc-pre-set-affiliation", function (event)
	local room, address = event.room, event.jid;
	local before, after = event.previous_affiliation, event.affiliation;
	room.send_default_permissions_to = room.send_default_permissions_to or {};
	room.send_default_permissions_to[address] = true;

	local actor = event.actor and prosody.full_sessions[event.actor];
	if not before or not actor or not actor.jitsi_meet_context_features
		or util.is_admin(address) or util.is_healthcheck_room(room.jid) then
		return;
	end
	local session = session_in(room, address);
	if not session then
		return;
	elseif after == "owner" and (before == "none" or before == "member") then
		grant(actor, session);
	elseif before == "owner" and (after == "none" or after == "member") then
		revoke(session);
	end
end);

-- Whether a presence is the first in which a moderator without features of a token sees that role.
local function is_promotion(x, session, is_new)
	if session.auth_token and session.jitsi_meet_context_features or not is_new then
		return false;
	end
	for item in x:childtags("item") do
		if item.attr.role == "moderator" then
			return true;
		end
	end
	return false;
end

local function tell(stanza, session)
	local from, to = stanza.attr and stanza.attr.from, stanza.attr and stanza.attr.to;
	if stanza.name ~= "presence" or not to or stanza.attr.type == "unavailable"
		or util.is_focus(from) or util.is_admin(to) then
		return stanza;
	end
	local x = stanza:get_child("x", "http://jabber.org/protocol/muc#user");
	if not util.presence_check_status(x, "110") then
		return stanza;
	end
	local room = util.get_room_from_jid(util.room_jid_match_rewrite(jid.bare(from)));
	if not room or util.is_healthcheck_room(room.jid) then
		return stanza;
	end
	local pending = room.send_default_permissions_to or {};
	local address = jid.bare(to);
	if session.force_permissions_update or is_promotion(x, session, pending[address]) then
		session.force_permissions_update = false;
		session.jitsi_meet_context_features = session.jitsi_meet_context_features or defaults;
		pending[address] = nil;
		stanza:tag("permissions", { xmlns = "http://jitsi.org/jitmeet" });
		for name, value in pairs(session.jitsi_meet_context_features) do
			stanza:tag("p", { name = name, val = tostring(value) }):up();
		end
		stanza:up();
	end
	return stanza;
end

local function add_filter(session)
	filters.add_filter(session, "stanzas/out", tell, -2); -- after the domain mapper
end
filters.add_filter_hook(add_filter);

function module.unload()
	filters.remove_filter_hook(add_filter);
end
