-- Keeps machines (recorders, SIP gateways) to what they are in a MUC for.
--
-- Every door lets them pass: they need no token, no password and nobody who admits them. So they come
-- into a meeting only while people are in it, moderate nothing, whoever would make them, and do not
-- keep it alive: some time after the last person left, the meeting ends, as Jicofo stays as long as
-- anybody is there. In the MUC of the breweries they enter their own and no other, in which they could
-- pass for a bridge. From other MUCs they stay out.
--
-- Goes on all MUC components.
--
-- Options (MUC component or global):
--   machine_hosts             names of VirtualHosts whose users are machines, { }
--   service_hosts             those, and the hosts of Jicofo and the bridges, { }
--   machine_guard_breweries   mapping of such a host to the address of the only room of this MUC that
--                             its users enter; where it is not set, the rooms are meetings
--   machine_guard_closed      true: no machine enters a room of this MUC, false
--   machine_guard_patience    seconds that a meeting without people goes on, 10; people who change from
--                             one of its rooms to another are in none of them for a moment
--   muc_mapper_domain_base    main domain
-- Of the main domain:
--   breakout_rooms_muc        MUC of the breakout rooms, "breakout." and the main domain
local configmanager = require "core.configmanager";
local jid = require "util.jid";
local st = require "util.stanza";

local breweries = module:get_option("machine_guard_breweries");
local is_closed = module:get_option_boolean("machine_guard_closed", false);
local patience = module:get_option_number("machine_guard_patience", 10);
local main_host = module:get_option_string("muc_mapper_domain_base");

local machines = module:require "machines";
local muc = module:depends("muc");

local function may_enter(room, from)
	if is_closed then
		return false;
	elseif breweries then
		return room.jid == breweries[jid.host(from)];
	end
	return machines.has_people(room);
end

-- Before the rates: who is refused at once waits in no queue
local function refuse(event)
	local stanza = event.stanza;
	local from = stanza.attr.from;
	if not machines.is_machine(from) or may_enter(event.room, from) then
		return;
	end
	module:log("info", "Refused the machine %s the room %s", from, event.room.jid);
	event.origin.send(st.error_reply(stanza, "cancel", "not-allowed", "This room is closed to machines now"));
	return true;
end
module:hook("muc-room-pre-create", refuse, 1000);
module:hook("muc-occupant-pre-join", refuse, 1000);

-- After guest_roles (1000), which chooses a person where Jicofo chose a machine
module:hook("muc-pre-set-affiliation", function (event)
	if (event.affiliation == "owner" or event.affiliation == "admin") and machines.is_machine(event.jid) then
		event.allowed = false;
		return true;
	end
end, 999);

module:hook("muc-pre-set-role", function (event)
	if event.role == "moderator" and machines.is_machine(event.occupant.bare_jid) then
		event.allowed, event.error, event.condition = false, "cancel", "not-allowed";
		return true;
	end
end, 999);

if is_closed or breweries then
	return;
end

local function is_abandoned(room)
	return not room.destroying and machines.has_machines(room) and not machines.has_people(room);
end

local function end_if_abandoned(room)
	if room.machine_guard_waits or not is_abandoned(room) then
		return;
	end
	room.machine_guard_waits = true;
	module:add_timer(patience, function ()
		room.machine_guard_waits = nil;
		if muc.get_room_from_jid(room.jid) == room and is_abandoned(room) then
			module:log("info", "Only machines are left in %s, which ends", room.jid);
			room:set_persistent(false);
			room:destroy(nil, "The meeting has ended, because nobody is left.");
		end
	end);
end

module:hook("muc-occupant-left", function (event)
	end_if_abandoned(event.room);
end);

local function watch_breakout_rooms(host)
	module:context(host):hook("muc-occupant-left", function (event)
		for main_room in muc.all_rooms() do
			local rooms = main_room._data.breakout_rooms;
			if rooms and rooms[event.room.jid] then
				return end_if_abandoned(main_room);
			end
		end
	end);
end

local breakout_host = configmanager.get(main_host, "breakout_rooms_muc") or "breakout." .. main_host;
if prosody.hosts[breakout_host] then
	watch_breakout_rooms(breakout_host);
end
module:hook_global("host-activated", function (host)
	if host == breakout_host then
		watch_breakout_rooms(host);
	end
end);

-- After a reload
for room in muc.all_rooms() do
	room.machine_guard_waits = nil;
	end_if_abandoned(room);
end
