-- Bounds how much one session makes the server do.
--
-- Prosody is one process. What one person sends into a room goes to everybody in it, so one who sends
-- without pause takes the time of all others. Clients send some dozens of stanzas when they enter, and
-- few a second afterwards. What is too much is answered with an error; leaving is never too much.
--
-- Goes on the VirtualHosts of people.
--
-- Options (VirtualHost or global):
--   session_rate_burst            stanzas of a session in a row, 300
--   session_rate                  further ones a second, 100
--   session_rate_broadcast_burst  of these, presences and messages to a whole room in a row, 60
--   session_rate_broadcast        further ones a second, 10
local refuse = module:require "refuse";
local new_throttle = require "util.throttle".create;

local burst = module:get_option_number("session_rate_burst", 300);
local rate = module:get_option_number("session_rate", 100);
local broadcast_burst = module:get_option_number("session_rate_broadcast_burst", 60);
local broadcast_rate = module:get_option_number("session_rate_broadcast", 10);

local function is_broadcast(stanza)
	return stanza.name == "presence" or stanza.attr.type == "groupchat";
end

local function check(event)
	local session, stanza = event.origin, event.stanza;
	local kind = stanza.attr.type;
	if kind == "unavailable" or kind == "error" or kind == "result" then
		return;
	end
	local buckets = session.session_rate;
	if not buckets then
		buckets = {
			all = new_throttle(burst, burst / rate),
			broadcast = new_throttle(broadcast_burst, broadcast_burst / broadcast_rate),
		};
		session.session_rate = buckets;
	end
	if buckets.all:poll(1) and (not is_broadcast(stanza) or buckets.broadcast:poll(1)) then
		return;
	end
	return refuse(event, "wait", "resource-constraint", "You send too much");
end

for _, kind in ipairs { "iq", "message", "presence" } do
	for _, form in ipairs { "bare", "full", "host" } do
		module:hook("pre-" .. kind .. "/" .. form, check, 10000);
	end
end
