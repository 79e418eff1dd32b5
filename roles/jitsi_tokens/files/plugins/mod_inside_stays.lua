-- Who is in a meeting stays in it when a moderator closes its door.
--
-- A room that becomes one for members sends out everybody who is none, and tells the others nothing
-- of it: Jicofo would stay in an empty room for ever. Jitsi's own client makes everybody a member
-- before it turns the lobby on, others need not. So the server does, whichever way the lobby comes
-- on, for all people of the meeting: in its breakout rooms and on the way between its rooms too. The
-- recorders among them as well, or they would be sent out. Who is banned stays banned.
--
-- Who comes back from a breakout room needs no password that was set meanwhile.
--
-- Of what moderators may do to a room, this is without effect:
--   a form that says nothing of the lobby does not turn it off (muc_lobby_rooms would end the lobby
--   and leave the room to members, so that nobody could be admitted any more)
--   no room is for members that has no lobby: breakout rooms, and lobbies themselves
--   nobody bans or promotes a whole host, or makes admins: every token comes from one host, so
--   nobody with a token could come back; and admins moderate without being able to undo it
--
-- Goes on the MUC components of meetings, breakout rooms and lobbies. No options. Who is a machine and
-- where breakout rooms are is said to machines.lib and meeting.lib.
local jid = require "util.jid";
local now = require "util.time".now;

local MUC = "http://jabber.org/protocol/muc";
local MEMBERS_ONLY = "muc#roomconfig_membersonly";

local muc = module:depends("muc");
local is_machine = module:require "machines";
local meeting = module:require "meeting";

local function make_member(room, address)
	if (room:get_affiliation(address) or "none") == "none" then
		room:set_affiliation(true, address, "member");
	end
end

local function make_members(room)
	for _, occupant in ipairs(meeting.occupants_of(room)) do
		make_member(room, occupant.bare_jid);
	end
	for address in pairs(meeting.travellers_of(room)) do
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

local function is_in_form(stanza, name)
	local form = stanza.tags[1]:get_child("x", "jabber:x:data");
	return form:get_child_with_attr("field", nil, "var", name) ~= nil;
end

-- Before muc_lobby_rooms, which takes a form without the field for one that turns the lobby off
module:hook("muc-config-submitted", function (event)
	if not is_in_form(event.stanza, MEMBERS_ONLY) then
		event.fields[MEMBERS_ONLY] = event.room:get_members_only();
	end
end, 100);

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

module:hook("muc-pre-set-affiliation", function (event)
	if event.actor and not is_machine(event.actor)
		and (jid.node(event.jid) == nil or event.affiliation == "admin") then
		module:log("warn", "%s may not make %s %s", event.actor, event.jid, event.affiliation);
		event.allowed = false;
		return true;
	end
end, 2000);

-- Rooms of a meeting

local function set_on_the_way(room, address, since)
	local main_room = meeting.main_room_of(room);
	if main_room then
		meeting.travellers_of(main_room)[address] = since;
	end
end

local function watch(context)
	-- Clients leave one room of the meeting with this status before they join another.
	context:hook("muc-occupant-pre-leave", function (event)
		if event.stanza:get_child_text("status") == "switch_room" then
			set_on_the_way(event.room, event.occupant.bare_jid, now());
		end
	end);
	context:hook("muc-occupant-joined", function (event)
		set_on_the_way(event.room, event.occupant.bare_jid, nil);
	end);
	-- Whose breakout room is closed goes back to the meeting
	context:hook("muc-occupant-left", function (event)
		if event.room.destroying and jid.host(event.room.jid) ~= module.host then
			set_on_the_way(event.room, event.occupant.bare_jid, now());
		end
	end);
end

-- Before the password is looked at (-20)
local function give_password(event)
	local room, stanza = event.room, event.stanza;
	local join = stanza:get_child("x", MUC);
	if join and room:get_password() and meeting.travellers_of(room)[jid.bare(stanza.attr.from)] then
		join:remove_children("password", MUC);
		join:reset(); -- others leave it where they added theirs
		join:text_tag("password", room:get_password(), { xmlns = MUC });
	end
end

if module.host == meeting.host then
	meeting.with_rooms(watch);
	module:hook("muc-occupant-pre-join", give_password, -6);
end
