-- Stand-in (test double) for Jitsi's mod_muc_max_occupants: not Jitsi's code.
-- A room takes so many people. Some do not count, and they always get in.
local jid = require "util.jid";
local st = require "util.stanza";
local util = module:require "util";

local limit = module:get_option_number("muc_max_occupants", -1);
local uncounted = module:get_option_set("muc_access_whitelist", {});

local function counts(address)
	return not uncounted:contains(jid.host(address)) and not uncounted:contains(jid.bare(address));
end

if limit > 0 then
	module:hook("muc-occupant-pre-join", function (event)
		local room, stanza = event.room, event.stanza;
		local from = stanza.attr.from;
		if jid.node(from) == nil or not counts(from) or util.is_healthcheck_room(room.jid)
			or room:get_occupant_jid(from) then
			return;
		end
		local places = room._data.max_occupants or limit;
		for _, occupant in room:each_occupant() do
			if counts(occupant.bare_jid) then
				places = places - 1;
			end
		end
		if places <= 0 then
			module:log("info", "%s is full", room.jid);
			event.origin.send(st.error_reply(stanza, "cancel", "service-unavailable"));
			return true;
		end
	end, 10);
end
