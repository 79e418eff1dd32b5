-- A meeting is a room and its breakout rooms.
--
-- Use: local meeting = module:require "meeting"; on any host
-- Options (global):
--   muc_mapper_domain_base   main domain; of it: main_muc, breakout_rooms_muc and lobby_muc, the MUCs of
--                            the meetings, their breakout rooms and their lobbies, by default
--                            "conference.", "breakout." or "lobby." and the main domain
local cache = require "util.cache";
local configmanager = require "core.configmanager";
local jid = require "util.jid";
local now = require "util.time".now;

-- Seconds that somebody may take from one room of a meeting to the next, in a queue at its door too
local ON_THE_WAY = 300;

local is_service = module:require("machines").is_service;

local main_host = assert(module:get_option_string("muc_mapper_domain_base"), "muc_mapper_domain_base is not set");

local meeting = {
	main_muc = configmanager.get(main_host, "main_muc") or "conference." .. main_host;
	breakout_muc = configmanager.get(main_host, "breakout_rooms_muc") or "breakout." .. main_host;
	lobby_muc = configmanager.get(main_host, "lobby_muc") or "lobby." .. main_host;
};

-- The room with this address on any host, nil where there is none.
function meeting.find_room(address)
	local host = prosody.hosts[jid.host(address)];
	return host and host.modules.muc and host.modules.muc.get_room_from_jid(address) or nil;
end

-- The main rooms that there are, for an iteration.
function meeting.main_rooms()
	return prosody.hosts[meeting.main_muc].modules.muc.all_rooms();
end

-- The rooms of a meeting that somebody has entered, as a list that begins with the main room.
function meeting.rooms_of(main_room)
	local rooms = { main_room };
	for address in pairs(main_room._data.breakout_rooms or {}) do
		rooms[#rooms + 1] = meeting.find_room(address);
	end
	return rooms;
end

-- The occupants of all rooms of a meeting, machines too, for an iteration. They are for reading only, as
-- each_occupant, which copies them, is too slow for what is done at each join.
function meeting.each_occupant(main_room)
	local rooms, index, nick = meeting.rooms_of(main_room), 1, nil;
	return function ()
		while rooms[index] do
			local occupant;
			nick, occupant = next(rooms[index]._occupants, nick);
			if occupant then
				return occupant;
			end
			index = index + 1;
		end
	end;
end

-- The occupant with this full JID in any room of a meeting, or nil.
function meeting.find_occupant(main_room, real_jid)
	for _, room in ipairs(meeting.rooms_of(main_room)) do
		local occupant = room:get_occupant_by_real_jid(real_jid);
		if occupant then
			return occupant;
		end
	end
end

-- The first bare JID of a person in the meeting for which the test holds, or of anybody without a test.
-- Nil where there is none.
function meeting.find_person(main_room, test)
	for occupant in meeting.each_occupant(main_room) do
		local address = occupant.bare_jid;
		if not is_service(address) and (not test or test(address)) then
			return address;
		end
	end
end

-- Bare JIDs of those who left one room of a meeting for another, as a set. mod_inside_stays keeps it.
-- Who has no session any more is not awaited.
function meeting.travellers_of(main_room)
	local travellers = main_room._data.on_the_way or {};
	main_room._data.on_the_way = travellers;
	for address, since in pairs(travellers) do
		if now() - since > ON_THE_WAY or not prosody.bare_sessions[address] then
			travellers[address] = nil; -- removing the present key while iterating is allowed
		end
	end
	return travellers;
end

-- The same with those who are on the way between its rooms.
function meeting.find_participant(main_room, test)
	local found = meeting.find_person(main_room, test);
	if found then
		return found;
	end
	for address in pairs(meeting.travellers_of(main_room)) do
		if not test or test(address) then
			return address;
		end
	end
end

local main_rooms = cache.new(1000); -- addresses of main rooms by those of their breakout rooms

-- The main room of the meeting to which a room belongs: itself, for one that is no breakout room. Nil
-- for a breakout room that no meeting has, and for rooms of other MUCs.
function meeting.main_room_of(room)
	local host = jid.host(room.jid);
	if host == meeting.main_muc then
		return room;
	elseif host ~= meeting.breakout_muc then
		return nil;
	end
	local known = main_rooms:get(room.jid);
	known = known and meeting.find_room(known);
	if known and (known._data.breakout_rooms or {})[room.jid] then
		return known;
	end
	for main_room in meeting.main_rooms() do
		local breakout_rooms = main_room._data.breakout_rooms;
		if breakout_rooms and breakout_rooms[room.jid] then
			main_rooms:set(room.jid, main_room.jid);
			return main_room;
		end
	end
end

-- Calls back with the module context of a host, now or as soon as it is there.
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

-- Calls back with the contexts of the meetings and of the breakout rooms.
function meeting.with_rooms(callback)
	meeting.with_host(meeting.main_muc, callback);
	meeting.with_host(meeting.breakout_muc, callback);
end

return meeting;
