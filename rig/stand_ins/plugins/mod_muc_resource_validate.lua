-- Stand-in (test double) for Jitsi's mod_muc_resource_validate: not Jitsi's code.
-- Letters, digits and underscores make a nick, and it stays the same.
local jid = require "util.jid";
local st = require "util.stanza";
local util = module:require "util";

local function refuse(event, reason)
	module:log("warn", "Rejecting %s: %s", event.stanza.attr.from, reason);
	event.origin.send(st.error_reply(event.stanza, "cancel", "not-allowed", reason));
	return true;
end

module:hook("muc-occupant-pre-join", function (event)
	local from, nick = event.stanza.attr.from, jid.resource(event.stanza.attr.to);
	if util.is_healthcheck_room(event.room.jid) or jid.node(from) == nil then
		return;
	end
	if not nick or not nick:match("^[a-zA-Z0-9][a-zA-Z0-9_]*$") then
		return refuse(event, "Invalid resource");
	end
end, 11);

module:hook("muc-occupant-pre-change", function (event)
	if util.is_healthcheck_room(event.room.jid) or not event.orig_occupant then
		return;
	end
	if jid.resource(event.stanza.attr.to) ~= jid.resource(event.orig_occupant.nick) then
		return refuse(event, "Nick changes are not allowed");
	end
end, 11);
