-- Holds what token_affiliation lets slip: who is banned, and who is no longer an owner.
--
-- token_affiliation makes owners or members of everybody with a token, also of outcasts, whom the
-- MUC refuses last (-10). And it takes the affiliation of an owner away, but not the role that came
-- with it: whoever was promoted and comes back, or comes under an owner's JID (`previd`), would
-- moderate as a member. Whoever comes back from a breakout room would be what their token says again,
-- and not what a moderator made them. Whoever is promoted gets the features of who did it, and
-- would keep them after a demotion.
--
-- Goes on the MUC component of the meetings. What a meeting is says meeting.lib. No options.
local jid = require "util.jid";

local meeting = module:require "meeting";
local refuse = module:require "refuse";

-- After jitsi_permissions
module:hook("muc-set-affiliation", function (event)
	local name, host = jid.split(event.jid);
	local sessions = (prosody.hosts[host] or {}).sessions or {};
	local user = event.previous_affiliation == "owner" and event.affiliation ~= "owner" and sessions[name];
	for _, session in pairs(user and user.sessions or {}) do
		if session.auth_token then
			session.jitsi_meet_context_features = session.token_guard_features;
		end
	end
end, -1000);

module:hook("muc-occupant-pre-join", function (event)
	if event.room:get_affiliation(event.stanza.attr.from) == "outcast" then
		return refuse(event, "auth", "forbidden", "You are banned from this room");
	end
end, 50);

-- Who comes back from a breakout room has the rights that they went with, or got meanwhile
module:hook("muc-occupant-pre-join", function (event)
	local room, address = event.room, event.occupant.bare_jid;
	local affiliation = room:get_affiliation(address) or "none";
	if affiliation ~= "none" and meeting.travellers_of(room)[address] then
		event.kept_affiliation = affiliation;
	end
end, -3.45);
module:hook("muc-occupant-pre-join", function (event)
	local room, occupant, kept = event.room, event.occupant, event.kept_affiliation;
	if kept and room:get_affiliation(occupant.bare_jid) ~= kept then
		room:set_affiliation(true, occupant.bare_jid, kept);
		occupant.role = room:get_default_role(kept);
	end
end, -3.55);

-- After token_affiliation (-3.5), before the gates of the lobby (-4) and of members-only rooms (-5)
module:hook("muc-occupant-pre-join", function (event)
	local room, occupant = event.room, event.occupant;
	if room:get_affiliation(occupant.bare_jid) == "member" and occupant.role == "moderator" then
		occupant.role = "participant";
	end
end, -3.6);
