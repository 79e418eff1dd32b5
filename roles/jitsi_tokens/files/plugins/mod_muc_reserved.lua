-- Keeps names of a MUC for its admins: rooms that begin with a prefix, and nicks.
--
-- Several of Jitsi's modules make an exception for the rooms of Jicofo's health check, so people
-- could meet there unchecked. And clients take an occupant called "focus" for Jicofo, also where
-- Jicofo has not entered yet.
--
-- Options (MUC component or global):
--   muc_reserved_room_prefix   first characters of the reserved rooms, "__jicofo-health-check"
--   muc_reserved_nicks         reserved nicks, { "focus" }
--   admins                     JIDs that may use them
local jid = require "util.jid";
local st = require "util.stanza";

local prefix = module:get_option_string("muc_reserved_room_prefix", "__jicofo-health-check");
local nicks = module:get_option_set("muc_reserved_nicks", { "focus" });
local admins = module:get_option_inherited_set("admins", {});

-- The name of a room without its tenant: "[tenant]room" is "room".
local function room_name(room_jid)
	return ((jid.node(room_jid) or ""):gsub("^%[[^%]]*%]", ""));
end

local function refuse_people(event)
	local stanza = event.stanza;
	local to = stanza.attr.to;
	local nick = (jid.resource(to) or ""):lower();
	local is_reserved = room_name(to):sub(1, #prefix) == prefix or nicks:contains(nick);
	if not is_reserved or admins:contains(jid.bare(stanza.attr.from)) then
		return;
	end
	module:log("warn", "Refused %s the reserved name %s", stanza.attr.from, to);
	event.origin.send(st.error_reply(stanza, "cancel", "not-allowed", "This name is reserved"));
	return true;
end

for _, name in ipairs { "muc-room-pre-create", "muc-occupant-pre-join", "muc-occupant-pre-change" } do
	module:hook(name, refuse_people, 1000);
end
