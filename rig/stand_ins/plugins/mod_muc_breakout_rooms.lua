-- Stand-in (test double) for Jitsi's mod_muc_breakout_rooms: not Jitsi's code.
-- Moderators make rooms beside a meeting, send people there and close them. Who comes from the meeting
-- may enter and has the same rights there. The meeting stays while anybody is in one of its rooms.
local cache = require "util.cache";
local jid = require "util.jid";
local json = require "cjson.safe";
local st = require "util.stanza";
local new_uuid = require "util.uuid".generate;
local util = module:require "util";

local TYPE = "breakout_rooms"; -- of the identity, the commands and the messages to clients
local COMMAND = "features/breakout-rooms/";
local BROADCAST_DELAY = 0.3; -- seconds
local PATIENCE = 5; -- seconds until a meeting ends that everybody left

module:depends("room_destroy");
module:depends("jitsi_session");

local main_name = module:get_option_string("main_muc");
local breakout_name = module:get_option_string("breakout_rooms_muc", "breakout." .. module.host);
if not main_name then
	module:log("error", "main_muc has to be set");
	return;
end

local main_addresses = {}; -- of a breakout room: its meeting's
local changing = cache.new(1000); -- nick in the meeting: bare JID of who is between two of its rooms

local function main_room_of(address)
	local main_address = jid.host(address) == main_name and address or main_addresses[address];
	return main_address and util.get_room_from_jid(main_address), main_address;
end

-- Breakout rooms of a meeting: address and subject. They exist once somebody is in them.
local function breakout_rooms(main_room)
	return pairs(main_room._data.breakout_rooms or {});
end

local function rooms_of(main_room)
	local rooms = { main_room };
	for address in breakout_rooms(main_room) do
		rooms[#rooms + 1] = util.get_room_from_jid(address);
	end
	return rooms;
end

local function people_in(room)
	local people = {};
	for _, occupant in room:each_occupant() do
		if not util.is_admin(occupant.bare_jid) then
			people[#people + 1] = occupant;
		end
	end
	return people;
end

local function is_empty(main_room)
	for _, room in ipairs(rooms_of(main_room)) do
		if people_in(room)[1] then
			return false;
		end
	end
	return true;
end

local function find(main_room, real_jid)
	for _, room in ipairs(rooms_of(main_room)) do
		local occupant = room:get_occupant_by_real_jid(real_jid);
		if occupant then
			return occupant;
		end
	end
end

local function send(to, content)
	content.type = TYPE;
	module:send(st.message({ from = breakout_name, to = to })
		:text_tag("json-message", json.encode(content), { xmlns = "http://jitsi.org/jitmeet" }));
end

local function describe(address, name, room)
	local participants = {};
	for _, occupant in ipairs(room and people_in(room) or {}) do
		participants[util.internal_room_jid_match_rewrite(occupant.nick)] = {
			jid = occupant.jid, role = occupant.role,
			displayName = occupant:get_presence():get_child_text("nick", "http://jabber.org/protocol/nick") };
	end
	return { id = jid.node(address), jid = address, name = name, participants = participants };
end

local function broadcast(main_room)
	local rooms = {};
	local function add(...)
		local entry = describe(...);
		rooms[entry.id] = entry;
		return entry;
	end
	local main_address = util.internal_room_jid_match_rewrite(main_room.jid);
	add(main_address, main_room._data.subject, main_room).isMainRoom = true;
	for address, name in breakout_rooms(main_room) do
		add(address, name, util.get_room_from_jid(address));
	end
	for _, room in ipairs(rooms_of(main_room)) do
		for _, occupant in ipairs(people_in(room)) do
			send(occupant.jid, { event = COMMAND .. "update", rooms = rooms,
				roomCounter = main_room._data.breakout_rooms_counter });
		end
	end
end

local function broadcast_soon(main_room)
	if main_room.broadcast_timer then
		return;
	end
	local address = main_room.jid;
	main_room.broadcast_timer = module:add_timer(BROADCAST_DELAY, function ()
		local room = util.get_room_from_jid(address);
		if room then
			room.broadcast_timer = nil;
			broadcast(room);
		end
	end);
end

local function remove(main_room, address, reason)
	local room = util.get_room_from_jid(address);
	if room then
		room:destroy(main_room.jid, reason or "Breakout room removed.");
	end
	main_room._data.breakout_rooms[address] = nil;
	main_room:save(true);
	main_addresses[address] = nil;
	broadcast_soon(main_room);
end

-- What moderators may order. False: not carried out.
local commands = {};

function commands.add(main_room, order)
	local data = main_room._data;
	local address = jid.join(new_uuid(), breakout_name);
	data.breakout_rooms = data.breakout_rooms or {};
	data.breakout_rooms[address] = order.subject;
	data.breakout_rooms_counter = (data.breakout_rooms_counter or 0) + 1;
	data.breakout_rooms_active = true;
	main_addresses[address] = main_room.jid;
	main_room:set_persistent(true); -- everybody may be in the other rooms
	main_room:save(true);
	broadcast_soon(main_room);
end

function commands.remove(main_room, order)
	if main_addresses[order.breakoutRoomJid] == main_room.jid then
		remove(main_room, order.breakoutRoomJid);
	end
end

function commands.rename(main_room, order)
	local address = order.breakoutRoomJid;
	if main_addresses[address] ~= main_room.jid then
		return;
	end
	main_room._data.breakout_rooms[address] = order.subject;
	main_room:save(true);
	local room = util.get_room_from_jid(address);
	if room then
		room:set_subject(address, order.subject);
	end
	broadcast_soon(main_room);
end

commands["move-to-room"] = function (main_room, order)
	local target = order.roomJid;
	local rooms = main_room._data.breakout_rooms;
	if not rooms or not rooms[target] and target ~= util.internal_room_jid_match_rewrite(main_room.jid) then
		module:log("warn", "%s is no room of %s", target, main_room.jid);
		return false;
	end
	send(order.participantJid, { event = COMMAND .. "move-to-room", roomJid = target });
end

local function obey(event)
	local session, stanza = event.origin, event.stanza;
	if stanza.attr.type == "error" then
		return;
	end
	local name = session.jitsi_web_query_room;
	local order = name and stanza:get_child(TYPE);
	local main_room = order and util.get_room_by_name_and_subdomain(name, session.jitsi_web_query_prefix);
	local occupant = main_room and find(main_room, stanza.attr.from);
	if not occupant or occupant.role ~= "moderator" then
		module:log("warn", "%s may not command breakout rooms", stanza.attr.from);
		return false;
	end
	local kind = order.attr.type or "";
	local command = util.starts_with(kind, COMMAND) and commands[kind:sub(#COMMAND + 1)];
	return command and command(main_room, order.attr) ~= false or false;
end

local function refuse(event, condition, by)
	local reply = st.error_reply(event.stanza, "cancel", condition, nil, by);
	event.origin.send(reply);
	return true;
end

-- Guards the door of all rooms of a meeting: a nick belongs to one person, also on the way from one
-- room to another, and breakout rooms are for people of the meeting.
local function check_newcomer(event)
	local room, session, stanza = event.room, event.origin, event.stanza;
	local occupant = event.dest_occupant or event.occupant;
	local main_room = main_room_of(room.jid);
	if not main_room then
		return refuse(event, "service-unavailable");
	elseif util.is_admin(occupant.bare_jid) then
		return;
	end
	local nick, address = jid.resource(stanza.attr.to), jid.bare(stanza.attr.from);
	local awaited = changing:get(main_room.jid .. "/" .. nick);
	if awaited and awaited ~= address then
		return refuse(event, "conflict", room.jid);
	end
	if room ~= main_room and session.jitsi_breakout_main_jid ~= main_room.jid then
		return refuse(event, "not-allowed");
	end
	for _, other in ipairs(rooms_of(main_room)) do
		local holder = not (other == room and room == main_room)
			and other:get_occupant_by_nick(other.jid .. "/" .. nick);
		if holder and holder.bare_jid ~= address then
			return refuse(event, "conflict", other.jid);
		end
	end
end

local function note_arrival(event)
	local room, occupant = event.room, event.occupant;
	local main_room = main_room_of(room.jid);
	if not main_room or util.is_healthcheck_room(room.jid) then
		return;
	end
	local is_person = not util.is_admin(occupant.bare_jid);
	if main_room._data.breakout_rooms_active then
		if is_person then
			broadcast_soon(main_room);
		end
		if main_room.close_timer then
			main_room.close_timer:stop();
			main_room.close_timer = nil;
		end
		changing:set(main_room.jid .. "/" .. jid.resource(occupant.nick), nil);
	end
	if room == main_room and is_person then
		event.origin.jitsi_breakout_main_jid = main_room.jid;
	end
end

local function note_change(event)
	local main_room = main_room_of(event.room.jid);
	if main_room and event.stanza:get_child_text("status") == "switch_room" then
		local nick = main_room.jid .. "/" .. jid.resource(event.occupant.nick);
		changing:set(nick, jid.bare(event.occupant.jid));
	end
end

local function note_departure(event)
	local main_room, main_address = main_room_of(event.room.jid);
	if not main_room or not main_room._data.breakout_rooms_active
		or util.is_healthcheck_room(event.room.jid) then
		return;
	end
	if not util.is_admin(event.occupant.bare_jid) then
		broadcast_soon(main_room);
	end
	if main_room.close_timer or not is_empty(main_room) then
		return;
	end
	main_room.close_timer = module:add_timer(PATIENCE, function ()
		local room = util.get_room_from_jid(main_address);
		if room and room.close_timer then
			prosody.events.fire_event("maybe-destroy-room",
				{ room = room, reason = "All occupants left.", caller = module.name });
		end
	end);
end

local function watch(context)
	context:hook("muc-occupant-pre-join", check_newcomer);
	context:hook("muc-occupant-pre-change", check_newcomer);
	context:hook("muc-occupant-joined", note_arrival);
	context:hook("muc-occupant-pre-leave", note_change);
	context:hook("muc-occupant-left", note_departure);
end

module:hook_global("jitsi-pre-session-unbind", function (event)
	local gone = {};
	for nick, address in changing:items() do
		if address == jid.bare(event.jid) then
			gone[#gone + 1] = nick;
		end
	end
	for _, nick in ipairs(gone) do
		changing:set(nick, nil);
	end
end);

module:hook_global("maybe-destroy-room", function (event)
	if event.caller == module.name then
		return;
	end
	for address in breakout_rooms(event.room) do
		local room = util.get_room_from_jid(address);
		if room and room:has_occupant() then
			module:log("info", "%s stays while somebody is in %s", event.room.jid, address);
			return true;
		end
	end
end);

util.process_muc(main_name, function (context)
	watch(context);
	context:hook("muc-room-destroyed", function (event)
		local addresses = {};
		for address in breakout_rooms(event.room) do
			addresses[#addresses + 1] = address;
		end
		for _, address in ipairs(addresses) do
			remove(event.room, address, event.reason);
		end
	end, 1);
end);

util.process_muc(breakout_name, function (context, muc)
	module:add_identity("component", TYPE, breakout_name);
	watch(context);
	context:hook("message/host", obey);

	-- Only rooms that a moderator made
	context:hook("muc-room-pre-create", function (event)
		local room = event.room;
		local main_room, main_address = main_room_of(room.jid);
		local subjects = main_room and main_room._data.breakout_rooms;
		if subjects and subjects[room.jid] then
			room:set_subject(room.jid, subjects[room.jid]);
			return;
		end
		room:destroy(main_address, "Breakout room is invalid.");
		return true;
	end);

	local function describe_room(event, key)
		local main_room, main_address = main_room_of(event.room.jid);
		local values = { isbreakout = true,
			breakout_main_room = util.internal_room_jid_match_rewrite(main_address) };
		if key == "formdata" and main_room and main_room:get_members_only() then
			values.lobbyroom = main_room._data.lobbyroom;
		end
		for name, value in pairs(values) do
			local field = { name = "muc#roominfo_" .. name, label = name,
				type = value == true and "boolean" or nil };
			table.insert(event.form, field);
			if key then
				event[key][field.name] = value;
			else
				field.value = value;
			end
		end
	end
	context:hook("muc-disco#info", function (event) describe_room(event, "formdata"); end);
	context:hook("muc-config-form", function (event) describe_room(event); end);

	-- Rights are those in the meeting
	function muc.room_mt.get_members_only(room)
		local main_room = main_room_of(room.jid);
		return main_room and main_room:get_members_only() or false;
	end

	function muc.room_mt.get_affiliation(room, address)
		local main_room = main_room_of(room.jid);
		return main_room and main_room:get_affiliation(address) or "none";
	end
end);
