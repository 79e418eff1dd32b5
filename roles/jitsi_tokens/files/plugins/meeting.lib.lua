-- A meeting is a room and its breakout rooms. On the MUC component of the meetings.
--
-- Use: local meeting = module:require "meeting";
-- Options (global):
--   muc_mapper_domain_base   main domain; of it: main_muc and breakout_rooms_muc, the MUCs of the
--                            meetings and their breakout rooms, "conference." or "breakout." and
--                            the main domain
local cache = require "util.cache";
local configmanager = require "core.configmanager";
local jid = require "util.jid";
local now = require "util.time".now;

local ON_THE_WAY = 60; -- seconds that somebody may take from one room of a meeting to the next

local is_machine = module:require "machines";
local muc = module:depends("muc");

local main_host = module:get_option_string("muc_mapper_domain_base");
local breakout_host = configmanager.get(main_host, "breakout_rooms_muc") or "breakout." .. main_host;

-- host: the MUC of the meetings
local meeting = { host = configmanager.get(main_host, "main_muc") or "conference." .. main_host };

-- The room with this address on any host, nil where there is none.
function meeting.find_room(address)
	local host = prosody.hosts[jid.host(address)];
	return host and host.modules.muc and host.modules.muc.get_room_from_jid(address);
end

-- The breakout rooms of a meeting that somebody has entered.
function meeting.breakout_rooms_of(main_room)
	local rooms = {};
	for address in pairs(main_room._data.breakout_rooms or {}) do
		rooms[#rooms + 1] = meeting.find_room(address);
	end
	return rooms;
end

-- The occupants of all rooms of a meeting, machines too, as a list.
function meeting.occupants_of(main_room)
	local rooms, occupants = meeting.breakout_rooms_of(main_room), {};
	table.insert(rooms, 1, main_room);
	for _, room in ipairs(rooms) do
		for _, occupant in room:each_occupant() do
			occupants[#occupants + 1] = occupant;
		end
	end
	return occupants;
end

-- The first bare JID of a person in the meeting for which the test holds, or nil.
function meeting.find_person(main_room, test)
	for _, occupant in ipairs(meeting.occupants_of(main_room)) do
		if not is_machine(occupant.bare_jid) and test(occupant.bare_jid) then
			return occupant.bare_jid;
		end
	end
end

-- Bare JIDs of those who left one room of a meeting for another, as a set. mod_inside_stays keeps it.
function meeting.travellers_of(main_room)
	local travellers = main_room._data.on_the_way or {};
	main_room._data.on_the_way = travellers;
	for address, since in pairs(travellers) do
		if now() - since > ON_THE_WAY then
			travellers[address] = nil; -- removing the present key while iterating is allowed
		end
	end
	return travellers;
end

-- The same with those who are on the way between its rooms.
function meeting.find_participant(main_room, test)
	local found = meeting.find_person(main_room, test);
	for address in pairs(meeting.travellers_of(main_room)) do
		if not found and test(address) then
			found = address;
		end
	end
	return found;
end

local main_rooms = cache.new(1000); -- addresses of main rooms by those of their breakout rooms

-- The main room to which a room belongs, the room itself where it is one.
function meeting.main_room_of(room)
	if jid.host(room.jid) == module.host then
		return room;
	end
	local known = main_rooms:get(room.jid);
	known = known and muc.get_room_from_jid(known);
	if known and (known._data.breakout_rooms or {})[room.jid] then
		return known;
	end
	for main_room in muc.all_rooms() do
		local breakout_rooms = main_room._data.breakout_rooms;
		if breakout_rooms and breakout_rooms[room.jid] then
			main_rooms:set(room.jid, main_room.jid);
			return main_room;
		end
	end
end

-- Calls back with the context of a MUC component, now or as soon as it is there.
function meeting.with_host(name, callback)
	if prosody.hosts[name] then
		callback(module:context(name));
	end
	module:hook_global("host-activated", function (host)
		if host == name then
			callback(module:context(name));
		end
	end);
end

-- Calls back with this module, and with the context of the breakout rooms.
function meeting.with_rooms(callback)
	callback(module);
	meeting.with_host(breakout_host, callback);
end

return meeting;
