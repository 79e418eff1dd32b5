-- Lets machines ask Jicofo for meetings only that people are in, as Jicofo would open any other.
--
-- Goes on VirtualHosts of machines, and of bridges, which ask for none. Who people are is in machines.lib. No options.
local meeting = module:require "meeting";
local refuse = module:require "refuse";
local util = module:require "util";

local function is_open(address)
	local room = address and util.get_room_from_jid(util.room_jid_match_rewrite(address));
	return room ~= nil and meeting.find_participant(room) ~= nil;
end

local function check(event)
	local stanza = event.stanza;
	local request = stanza:get_child("conference", "http://jitsi.org/protocol/focus");
	if not request or stanza.attr.type == "result" or stanza.attr.type == "error"
		or is_open(request.attr.room) then
		return;
	end
	module:log("info", "Refused the machine %s to open a meeting", stanza.attr.from);
	return refuse(event, "cancel", "not-allowed", "Nobody is in this meeting");
end

for _, form in ipairs { "host", "bare", "full" } do
	module:hook("pre-iq/" .. form, check, 1000);
end
