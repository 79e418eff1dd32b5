-- Keeps names of a MUC for its admins: rooms that begin with a prefix or belong to no tenant of this
-- server, and nicks.
--
-- Several of Jitsi's modules make an exception for the rooms of Jicofo's health check, so people
-- could meet there unchecked. And clients take an occupant called "focus" for Jicofo, also where
-- Jicofo has not entered yet.
--
-- Options (MUC component or global):
--   muc_reserved_room_prefix   first characters of the reserved rooms, "__jicofo-health-check"
--   muc_reserved_nicks         reserved nicks, { "focus" }
--   muc_reserved_but_tenants   tenants whose rooms people may enter, empty for any; rooms without a
--                              tenant are open to them in any case
--   admins                     JIDs that may use them
local jid = require "util.jid";
local refuse = module:require "refuse";

local prefix = module:get_option_string("muc_reserved_room_prefix", "__jicofo-health-check");
local nicks = module:get_option_set("muc_reserved_nicks", { "focus" });
local tenants = module:get_option_set("muc_reserved_but_tenants", {}) / string.lower;
local admins = module:get_option_inherited_set("admins", {});

-- Whether a room is for admins alone. Its name is "[tenant]room" or "room".
local function is_reserved_room(room_jid)
	local node = jid.node(room_jid) or "";
	local tenant, name = node:match("^%[([^%]]*)%](.*)$");
	if tenant and not tenants:empty() and not tenants:contains(tenant) then
		return true;
	end
	return (name or node):sub(1, #prefix) == prefix;
end

local function refuse_people(event)
	local stanza = event.stanza;
	local to = stanza.attr.to;
	local nick = (jid.resource(to) or ""):lower();
	local is_reserved = is_reserved_room(to) or nicks:contains(nick);
	if not is_reserved or admins:contains(jid.bare(stanza.attr.from)) then
		return;
	end
	module:log("warn", "Refused %s the reserved name %s", stanza.attr.from, to);
	return refuse(event, "cancel", "not-allowed", "This name is reserved");
end

for _, name in ipairs { "muc-room-pre-create", "muc-occupant-pre-join", "muc-occupant-pre-change" } do
	module:hook(name, refuse_people, 1000);
end
