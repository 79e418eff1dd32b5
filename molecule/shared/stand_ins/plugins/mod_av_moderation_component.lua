-- Stand-in (test double) for Jitsi's mod_av_moderation_component: not Jitsi's code.
-- Announces that a moderator turned the moderation of a medium on or off. Who may speak is not kept.
local json = require "cjson.safe";
local st = require "util.stanza";
local util = module:require "util";

local MEDIA = { audio = true, video = true, desktop = true };

module:depends("jitsi_session");

if not module:get_option_string("muc_component") then
	module:log("error", "muc_component has to be set");
	return;
end

local function announce(room, order, actor)
	local content = json.encode {
		type = "av_moderation", enabled = order.attr.enable == "true", mediaType = order.attr.mediaType,
		room = room.jid, actor = actor.nick,
	};
	for _, occupant in room:each_occupant() do
		module:send(st.message({ from = module.host, to = occupant.jid })
			:text_tag("json-message", content, { xmlns = "http://jitsi.org/jitmeet" }));
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
	announce(room, order, occupant);
	return true;
end);

util.advertise("av_moderation");
