-- Stand-in (test double) for Jitsi's mod_av_moderation_component: not Jitsi's code.
-- A moderator turns the moderation of a medium on or off, which everybody is told, and lets people
-- speak. Who may use the medium then, moderators are told: those who were there as such, and who is
-- made one later. Not who comes as one.
local json = require "cjson.safe";
local st = require "util.stanza";
local util = module:require "util";

local MEDIA = { audio = true, video = true, desktop = true };

module:depends("jitsi_session");

local muc_component = module:get_option_string("muc_component");
if not muc_component then
	module:log("error", "muc_component has to be set");
	return;
end

local function tell(room, content, only_moderators)
	content.type, content.room = "av_moderation", util.internal_room_jid_match_rewrite(room.jid);
	local text = json.encode(content);
	for _, occupant in room:each_occupant() do
		if not only_moderators or occupant.role == "moderator" then
			module:send(st.message({ from = module.host, to = occupant.jid })
				:text_tag("json-message", text, { xmlns = "http://jitsi.org/jitmeet" }));
		end
	end
end

local function tell_speakers(room)
	local whitelists = {};
	for medium, speakers in pairs(room.av_moderation or {}) do
		whitelists[medium] = speakers[1] and speakers or nil; -- an empty list would become an object
	end
	for medium in pairs(room.av_moderation or {}) do
		tell(room, { whitelists = whitelists, mediaType = medium }, true);
	end
end

local function speaker(occupant)
	return util.internal_room_jid_match_rewrite(occupant.nick);
end

local function switch(room, medium, on, actor)
	room.av_moderation = room.av_moderation or {};
	room.av_moderation[medium] = on and {} or nil;
	if on then
		for _, occupant in room:each_occupant() do
			if occupant.role == "moderator" and not util.is_focus(occupant.nick) then
				table.insert(room.av_moderation[medium], speaker(occupant));
			end
		end
	end
	if next(room.av_moderation) == nil then
		room.av_moderation = nil;
	end
	tell(room, { enabled = on, mediaType = medium, actor = actor.nick });
	tell_speakers(room);
end

-- Somebody who may use the medium although it is moderated
local function let_speak(room, medium, address)
	for _, occupant in room:each_occupant() do
		if speaker(occupant) == address and room.av_moderation and room.av_moderation[medium] then
			table.insert(room.av_moderation[medium], address);
			tell_speakers(room);
		end
	end
end

module:hook("message/host", function (event)
	local session, stanza = event.origin, event.stanza;
	if stanza.attr.type == "error" then
		return;
	end
	local order = stanza:get_child("av_moderation");
	local name = session.jitsi_web_query_room;
	local room = name and order and util.get_room_by_name_and_subdomain(name, session.jitsi_web_query_prefix);
	local occupant = room and room:get_occupant_by_real_jid(stanza.attr.from);
	if not occupant or occupant.role ~= "moderator" or not MEDIA[order.attr.mediaType] then
		module:log("warn", "%s may not moderate", stanza.attr.from);
		return false;
	end
	if order.attr.jidToWhitelist then
		let_speak(room, order.attr.mediaType, order.attr.jidToWhitelist);
	else
		switch(room, order.attr.mediaType, order.attr.enable == "true", occupant);
	end
	return true;
end);

util.process_host_module(muc_component, function (context)
	context:hook("muc-occupant-joined", function (event)
		if event.room.av_moderation and event.room:get_role(event.occupant.nick) == "moderator"
			and not util.is_admin(event.occupant.bare_jid) then
			tell_speakers(event.room);
		end
	end, -2);

	context:hook("muc-set-affiliation", function (event)
		local room = event.room;
		if not room.av_moderation or event.affiliation ~= "owner" or util.is_admin(event.jid) then
			return;
		end
		for _, occupant in room:each_occupant() do
			for _, speakers in pairs(occupant.bare_jid == event.jid and room.av_moderation or {}) do
				table.insert(speakers, speaker(occupant));
			end
		end
		if event.actor then
			tell_speakers(room);
		end
	end, -1);
end);

util.advertise("av_moderation");
