-- Breakout rooms are for those who are in the meeting, and its moderators decide about all its rooms.
--
-- Upstream lets into a breakout room whoever was in the meeting once, also who was thrown out since.
-- The power of a moderator ends at the room in which they are, and rights that change in one room of a
-- meeting stay what they were in the others. Here
--   * who is in the meeting, or on the way from one of its rooms to another, may enter;
--   * a moderator anywhere in the meeting may throw people out of all its rooms;
--   * rights are kept in the meeting, and count in all its rooms at once.
--
-- Goes on the MUC of the breakout rooms, beside mod_muc_kicked on that of the meetings.
--
-- Options (MUC component or global):
--   breakout_guard_rooms   breakout rooms that a meeting may have, 100
--   breakout_guard_name    bytes of the name of one, 128
--   breakout_guard_burst   orders to make, name and close rooms of a meeting in a row, 250
--   breakout_guard_rate    further ones a second, 5
--   admins                 JIDs that may enter every room, Jicofo
--   those of meeting.lib
local jid = require "util.jid";
local meeting = module:require "meeting";
local refuse = module:require "refuse";
local bucket = module:require "bucket";
local get_room_by_name_and_subdomain = module:require("util").get_room_by_name_and_subdomain;

local COMMAND = "features/breakout-rooms/";
local admins = module:get_option_inherited_set("admins", {});
local muc = module:depends("muc");

local most_rooms, longest_name, burst, rate;
local function read_settings()
	most_rooms = module:get_option_number("breakout_guard_rooms", 100);
	longest_name = module:get_option_number("breakout_guard_name", 128);
	burst = module:get_option_number("breakout_guard_burst", 250);
	rate = module:get_option_number("breakout_guard_rate", 5);
end
read_settings();
module:hook_global("config-reloaded", read_settings);

-- Whether somebody is in a room of a meeting, or on the way from one to another.
local function is_in(main_room, address)
	return meeting.find_participant(main_room, function (participant)
		return participant == address;
	end) ~= nil;
end

module:hook("muc-occupant-pre-join", function (event)
	local address = jid.bare(event.stanza.attr.from);
	if admins:contains(address) then
		return;
	end
	local main_room = meeting.main_room_of(event.room);
	if not main_room or main_room.kicked and main_room.kicked[address] or not is_in(main_room, address) then
		return refuse(event, "cancel", "not-allowed", "Enter the meeting first");
	end
	-- Upstream keeps this with the session, which may have been resumed since
	event.origin.jitsi_breakout_main_jid = main_room.jid;
end, 50);

-- Where upstream would say nothing
module:hook("muc-room-pre-create", function (event)
	if not meeting.main_room_of(event.room) then
		return refuse(event, "cancel", "not-allowed", "There is no such breakout room");
	end
end, 1000);

-- The rights in the meeting, carried over to somebody's seats in its breakout rooms
meeting.with_host(meeting.main_muc, function (context)
	context:hook("muc-set-affiliation", function (event)
		local rooms = meeting.rooms_of(event.room);
		for index = 2, #rooms do -- in the main room Prosody does it
			local room = rooms[index];
			local role = room:get_default_role(room:get_affiliation(event.jid));
			for nick, occupant in room:each_occupant() do
				if occupant.bare_jid == event.jid and occupant.role ~= role then
					room:set_role(true, nick, role, event.reason);
				end
			end
		end
	end);
end);

-- Rights that are given in a breakout room are given in the meeting
local set_affiliation = muc.room_mt.set_affiliation;
function muc.room_mt.set_affiliation(room, ...)
	local main_room = meeting.main_room_of(room);
	if main_room then
		return main_room:set_affiliation(...);
	end
	return set_affiliation(room, ...);
end

function module.unload()
	muc.room_mt.set_affiliation = set_affiliation;
end

-- An order to throw somebody out of a room of the meeting, from a moderator in another of its rooms
meeting.with_rooms(function (context)
	context:hook("muc-pre-set-role", function (event)
		local main_room = event.role == nil and event.actor and meeting.main_room_of(event.room);
		local actor = main_room and meeting.find_occupant(main_room, event.actor);
		if actor and actor.role == "moderator" and main_room:get_affiliation(event.actor) == "owner" then
			event.allowed = true;
			return true;
		end
	end, 10);
end);

-- Nobody else uses up what moderators may order.
local function is_too_often(main_room, address)
	local actor = meeting.find_occupant(main_room, address);
	if not actor or actor.role ~= "moderator" then
		return false;
	end
	main_room.breakout_guard = bucket(main_room.breakout_guard, burst, rate);
	return not main_room.breakout_guard:poll(1);
end

-- Orders to the component name a person, who has to be in the meeting of whoever orders
module:hook("message/host", function (event)
	local session, stanza = event.origin, event.stanza;
	local order = stanza:get_child("breakout_rooms");
	local name = order and stanza.attr.type ~= "error" and session.jitsi_web_query_room;
	local main_room = name and get_room_by_name_and_subdomain(name, session.jitsi_web_query_prefix);
	if not main_room then
		return;
	elseif order.attr.type == COMMAND .. "move-to-room" then
		if not meeting.find_occupant(main_room, order.attr.participantJid or "") then
			return refuse(event, "cancel", "item-not-found", "Nobody in this meeting has this address");
		end
		return;
	end
	-- Upstream would forget a room without a name, and who is in it with it
	local command = (order.attr.type or ""):match("^" .. COMMAND:gsub("%-", "%%-") .. "(.*)");
	local rooms = main_room._data.breakout_rooms or {};
	local is_naming = command == "add" or command == "rename";
	if is_naming and not order.attr.subject then
		return refuse(event, "modify", "bad-request", "Name the breakout room");
	elseif is_naming and #order.attr.subject > longest_name then
		return refuse(event, "modify", "not-acceptable", "The name of the breakout room is too long");
	elseif is_too_often(main_room, stanza.attr.from) then
		return refuse(event, "wait", "resource-constraint", "The breakout rooms change too often");
	elseif (command == "rename" or command == "remove") and not rooms[order.attr.breakoutRoomJid or ""] then
		return refuse(event, "cancel", "item-not-found", "This meeting has no such breakout room");
	elseif command == "add" then
		local count = 0;
		for _ in pairs(rooms) do
			count = count + 1;
		end
		if count >= most_rooms then
			return refuse(event, "wait", "resource-constraint", "There are too many breakout rooms");
		end
	end
end, 1000);
