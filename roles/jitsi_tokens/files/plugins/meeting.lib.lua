-- The rooms of a meeting: the one in which it began, and its breakout rooms.
--
-- Use: local meeting = module:require "meeting";  -- on any host that has
--   muc_mapper_domain_base   main domain; the meetings are at conference.<it>
-- and on the main domain
--   breakout_rooms_muc       MUC of the breakout rooms, "breakout." and the main domain
local configmanager = require "core.configmanager";
local jid = require "util.jid";

local main_host = assert(module:get_option_string("muc_mapper_domain_base"), "muc_mapper_domain_base is not set");
local main_muc = "conference." .. main_host;
local breakout_muc = configmanager.get(main_host, "breakout_rooms_muc") or "breakout." .. main_host;

local meeting = { main_muc = main_muc, breakout_muc = breakout_muc };

local function muc_of(host)
	return prosody.hosts[host] and prosody.hosts[host].modules.muc;
end

-- The main room of the meeting to which a room belongs: itself, for one that is no breakout room. Nil
-- for a breakout room that no meeting has.
function meeting.main_room_of(room)
	if jid.host(room.jid) == main_muc then
		return room;
	end
	for main_room in muc_of(main_muc).all_rooms() do
		local breakout_rooms = main_room._data.breakout_rooms;
		if breakout_rooms and breakout_rooms[room.jid] then
			return main_room;
		end
	end
end

-- The rooms of a meeting that there are, as a list that begins with the main room.
function meeting.rooms_of(main_room)
	local rooms, muc = { main_room }, muc_of(breakout_muc);
	for address in pairs(muc and main_room._data.breakout_rooms or {}) do
		rooms[#rooms + 1] = muc.get_room_from_jid(address);
	end
	return rooms;
end

-- The first occupant of a meeting for whom the test holds, and the room.
function meeting.find(main_room, test)
	for _, room in ipairs(meeting.rooms_of(main_room)) do
		for _, occupant in room:each_occupant() do
			if test(occupant) then
				return occupant, room;
			end
		end
	end
end

-- Calls a function with the module context of a host, now or when that host is there.
function meeting.with_host(host, watch)
	if prosody.hosts[host] then
		watch(module:context(host));
	end
	module:hook_global("host-activated", function (name)
		if name == host then
			watch(module:context(host));
		end
	end);
end

return meeting;
