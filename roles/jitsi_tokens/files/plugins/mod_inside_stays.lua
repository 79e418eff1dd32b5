-- Who is in a meeting stays in it when a moderator closes its door.
--
-- A room that becomes one for members sends out everybody who is none, and tells the others nothing
-- of it: Jicofo would stay in an empty room for ever. Jitsi's own client makes everybody a member
-- before it turns the lobby on, others need not. So the server does, whichever way the lobby comes
-- on, for all people of the meeting: in its breakout rooms and on the way between its rooms too. The
-- recorders among them as well, or they would be sent out. Who is banned stays banned. Who became a
-- member before and is not there has to knock as everybody else: a member comes in without, and the
-- room gives a member its password.
--
-- Who comes back from a breakout room needs no password that was set meanwhile.
--
-- A room that has no lobby does not become one for members. Of other orders that would shut a meeting
-- mod_muc_requests makes nothing.
--
-- Goes on the MUC component of the meetings. What a meeting is says meeting.lib. No options.
local jid = require "util.jid";
local now = require "util.time".now;

local MUC = "http://jabber.org/protocol/muc";
local MEMBERS_ONLY = "muc#roomconfig_membersonly";

local NICK_LENGTH = 8; -- characters of the user's name that Jitsi's clients take as nick

local muc = module:depends("muc");
local is_service = module:require("machines").is_service;
local meeting = module:require "meeting";

local function make_member(room, address)
	local is_kicked = room.kicked and room.kicked[address];
	if not is_kicked and (room:get_affiliation(address) or "none") == "none" then
		room:set_affiliation(true, address, "member");
	end
end

local function make_members(room)
	local inside, others = {}, {};
	for occupant in meeting.each_occupant(room) do
		inside[occupant.bare_jid] = true;
	end
	for address in pairs(meeting.travellers_of(room)) do
		inside[address] = true;
	end
	for address in room:each_affiliation("member") do
		if not inside[address] and not is_service(address) then
			table.insert(others, address);
		end
	end
	for _, address in ipairs(others) do
		room:set_affiliation(true, address, "none");
	end
	for address in pairs(inside) do
		make_member(room, address);
	end
end

-- By other modules
local set_members_only = muc.room_mt.set_members_only;
function muc.room_mt:set_members_only(on)
	if on and not self:get_members_only() then
		make_members(self);
	end
	return set_members_only(self, on);
end

function module.unload()
	muc.room_mt.set_members_only = set_members_only;
end

-- By a form: after muc_lobby_rooms made the lobby, before the room sends people out
module:hook("muc-config-submitted/" .. MEMBERS_ONLY, function (event)
	local room = event.room;
	if not event.value or room:get_members_only() then
		return;
	end
	if not room._data.lobbyroom then
		module:log("warn", "%s stays open, because it has no lobby", room.jid);
		return true;
	end
	make_members(room);
end, 100);

-- Rooms of a meeting

local function set_on_the_way(room, address, since)
	local main_room = meeting.main_room_of(room);
	if main_room and not is_service(address) then
		meeting.travellers_of(main_room)[address] = since;
	end
end

local function has_breakout_rooms(room)
	local main_room = meeting.main_room_of(room);
	return main_room ~= nil and next(main_room._data.breakout_rooms or {}) ~= nil;
end

meeting.with_rooms(function (context)
	-- Clients leave one room of the meeting with this status before they join another. Upstream keeps
	-- the nick for them without end, so it is taken for that only where there is another room, and from
	-- whoever has the nick that clients choose.
	context:hook("muc-occupant-pre-leave", function (event)
		local stanza, occupant = event.stanza, event.occupant;
		if stanza:get_child_text("status") ~= "switch_room" then
			return;
		elseif has_breakout_rooms(event.room)
			and jid.resource(occupant.nick) == jid.node(occupant.bare_jid):sub(1, NICK_LENGTH) then
			set_on_the_way(event.room, occupant.bare_jid, now());
		else
			stanza:remove_children("status");
		end
	end, 1000);
	context:hook("muc-occupant-joined", function (event)
		set_on_the_way(event.room, event.occupant.bare_jid, nil);
	end);
	-- Whose breakout room is closed goes back to the meeting
	context:hook("muc-occupant-left", function (event)
		if event.room.destroying and jid.host(event.room.jid) ~= module.host then
			set_on_the_way(event.room, event.occupant.bare_jid, now());
		end
	end);
end);

-- Before the password is looked at (-20)
module:hook("muc-occupant-pre-join", function (event)
	local room, stanza = event.room, event.stanza;
	local join = stanza:get_child("x", MUC);
	if join and room:get_password() and meeting.travellers_of(room)[jid.bare(stanza.attr.from)] then
		join:remove_children("password", MUC);
		join:reset(); -- others leave it where they added theirs
		join:text_tag("password", room:get_password(), { xmlns = MUC });
	end
end, -6);
