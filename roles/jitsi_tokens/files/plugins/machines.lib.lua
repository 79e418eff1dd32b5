-- Who is a machine, and whether people are in a meeting. People are all whose host is neither one of
-- machines nor that of Jicofo and the bridges. A meeting is a room and its breakout rooms.
--
-- Use: local machines = module:require "machines";
-- Reads the global options machine_hosts and service_hosts.
local jid = require "util.jid";

local machine_hosts = module:get_option_set("machine_hosts", {});
local service_hosts = module:get_option_set("service_hosts", {});

local machines = {};

function machines.is_machine(address)
	return machine_hosts:contains(jid.host(address));
end

local function room_at(address)
	local host = prosody.hosts[jid.host(address)];
	return host and host.modules.muc and host.modules.muc.get_room_from_jid(address);
end

local function has_occupant(room, test)
	for _, occupant in room:each_occupant() do
		if test(occupant.bare_jid) then
			return true;
		end
	end
	return false;
end

local function is_person(address)
	return not service_hosts:contains(jid.host(address));
end

function machines.has_machines(room)
	return has_occupant(room, machines.is_machine);
end

function machines.has_people(main_room)
	if has_occupant(main_room, is_person) then
		return true;
	end
	for address in pairs(main_room._data.breakout_rooms or {}) do
		local room = room_at(address);
		if room and has_occupant(room, is_person) then
			return true;
		end
	end
	return false;
end

return machines;
