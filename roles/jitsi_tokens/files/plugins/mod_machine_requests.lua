-- Lets machines ask Jicofo for meetings only that people are in, as Jicofo would open any other.
--
-- Goes on VirtualHosts of machines. Who people are is in machines.lib. No options.
local st = require "util.stanza";

local meeting = module:require "meeting";
local util = module:require "util";

local function is_anybody()
	return true;
end

local function is_open(address)
	local room = address and util.get_room_from_jid(util.room_jid_match_rewrite(address));
	return room ~= nil and meeting.find_participant(room, is_anybody) ~= nil;
end

local function refuse(event)
	local origin, stanza = event.origin, event.stanza;
	local request = stanza:get_child("conference", "http://jitsi.org/protocol/focus");
	if not request or stanza.attr.type == "result" or stanza.attr.type == "error"
		or is_open(request.attr.room) then
		return;
	end
	module:log("info", "Refused the machine %s to open a meeting", stanza.attr.from);
	origin.send(st.error_reply(stanza, "cancel", "not-allowed", "Nobody is in this meeting"));
	return true;
end

for _, form in ipairs { "host", "bare", "full" } do
	module:hook("pre-iq/" .. form, refuse, 1000);
end
