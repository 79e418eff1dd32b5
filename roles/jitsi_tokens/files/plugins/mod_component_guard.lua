-- Bounds how much people ask of a component: how often, and how much at once.
--
-- Upstream's components keep much of what they are sent for as long as the meeting lasts, or send all
-- of it to everybody each time one thing changes.
--
-- Goes on the components to which people send messages.
--
-- Options (component):
--   component_guard_bytes           largest message, 4096
--   component_guard_session_burst   messages of one session in a row, 60
--   component_guard_session         further ones a second, 5
--   component_guard_meeting_burst   messages of the people in one meeting in a row, 200
--   component_guard_meeting         further ones a second, 20
--   those of meeting.lib, and of machines.lib, whose machines may ask for anything
local meeting = module:require "meeting";
local is_service = module:require("machines").is_service;
local refuse = module:require "refuse";
local size_of = module:require "size_of";
local new_throttle = require "util.throttle".create;
local get_room_by_name_and_subdomain = module:require("util").get_room_by_name_and_subdomain;

local most_bytes = module:get_option_number("component_guard_bytes", 4096);
local session_burst = module:get_option_number("component_guard_session_burst", 60);
local session_rate = module:get_option_number("component_guard_session", 5);
local meeting_burst = module:get_option_number("component_guard_meeting_burst", 200);
local meeting_rate = module:get_option_number("component_guard_meeting", 20);

local host = module.host;

-- Takes one of what a session or room may ask of this component. False where it is used up.
local function take(holder, burst, rate)
	local throttles = holder.component_guard or {};
	holder.component_guard = throttles;
	throttles[host] = throttles[host] or new_throttle(burst, burst / rate);
	return throttles[host]:poll(1);
end

-- The meeting that somebody is in. Nobody uses up what others may ask.
local function meeting_of(session, address)
	local name = session.jitsi_web_query_room;
	local room = name and get_room_by_name_and_subdomain(name, session.jitsi_web_query_prefix);
	return room and meeting.find_occupant(room, address) and room;
end

module:hook("message/host", function (event)
	local session, stanza = event.origin, event.stanza;
	local from = stanza.attr.from;
	if session.type ~= "c2s" or is_service(from) then
		return;
	elseif size_of(stanza) > most_bytes then
		return refuse(event, "modify", "policy-violation", "The message is too large");
	end
	local room = meeting_of(session, from);
	if not take(session, session_burst, session_rate)
		or room and not take(room, meeting_burst, meeting_rate) then
		return refuse(event, "wait", "resource-constraint", "You ask too much");
	end
end, 2000);
