-- A meeting that somebody has closed can always be opened again: who may moderate gets in.
--
-- Moderators turn the lobby on, set a password, keep people from speaking, and a meeting can be full.
-- Only a moderator undoes that. When the last one leaves, is cut off or steps down, those inside have
-- no power, and upstream stops a moderator's token at the same doors as everybody else. So:
--
--   Where the token decides (affiliation), an owner's token passes lobby, password and a full room. An
--   owner who was demoted is one again after leaving and joining anew.
--   Where presence decides (first_is_owner) or Jicofo's login does (jicofo_login), a token says of
--   nobody in particular that they moderate. There any token of the room passes, and makes its bearer
--   an owner, as long as nobody in the meeting is an owner or could be made one: that is whoever
--   has a token. With an owner inside, it is the owner who lets people in. Who lost the connection and
--   logs in anew meets nobody but the own ghost: a token of the same user (context.user.id) passes it.
--   There, too, somebody in the meeting is made owner when it has had none for some time. Jicofo does
--   that as soon as whom it made owner leaves, but not when they were demoted, nor while it restarts.
--   Where nobody in the meeting has a token, somebody with one is asked in from the lobby.
--
-- Nothing is ever lifted. Since tokens get in, no restriction is without somebody who can undo it, and
-- a lobby, a password or silence that a moderator wanted protects those inside also while no moderator
-- is there. Guests whom the last moderator left behind a lobby have to wait for a token, as guests
-- without a host do.
--
-- A full meeting takes one more: whoever can moderate it, as long as nobody in it can, lost connections
-- not counted. Upstream's limit has to be that one higher. Upstream counts people in the main room alone,
-- so that newcomers take the places of those in breakout rooms. Here they keep them.
--
-- Jitsi's av_moderation lets those moderators speak who were there when the moderation began, or are
-- promoted then. Who comes as a moderator is let speak as well.
--
-- Goes on the MUC component of the meetings, beside whatever makes owners.
--
-- Options (MUC component or global):
--   moderation_by               what makes moderators: "token", "login" or "presence", "presence"
--   moderation_grace            seconds without an owner after which somebody is made one, 10
--   moderation_places           people whom a meeting takes, any number where not set
--   muc_max_occupants           upstream's, which has to be one more. Upstream's module reads it once and
--                               keeps nothing, so it is loaded again where that changes
--   muc_access_whitelist        hosts and bare JIDs that need no place, as muc_max_occupants has it
--   admins                      JIDs that are no people, as on every MUC
--   service_hosts               hosts whose users are no people, { }
--   muc_mapper_domain_base      main domain, where people with a token log in
local jid = require "util.jid";
local modulemanager = require "core.modulemanager";
local st = require "util.stanza";

local MUC = "http://jabber.org/protocol/muc";

local main_host = module:get_option_string("muc_mapper_domain_base");
local by_token = module:get_option_string("moderation_by", "presence") == "token";
local placeless = module:get_option_set("muc_access_whitelist", {});

local grace, places, limit;
local function read_settings(reloaded)
	local old = limit;
	local seconds = module:get_option_number("moderation_grace", 10);
	assert(seconds and seconds > 0 and seconds < math.huge, "moderation_grace has to be a number of seconds above 0");
	grace = seconds;
	places = module:get_option_number("moderation_places", math.huge);
	limit = module:get_option_number("muc_max_occupants");
	if reloaded and limit ~= old and modulemanager.is_loaded(module.host, "muc_max_occupants") then
		assert(modulemanager.reload(module.host, "muc_max_occupants"));
	end
end
read_settings();
module:hook_global("config-reloaded", read_settings);

local muc = module:depends("muc");
local is_service = module:require("machines").is_service;
local is_token_owner = module:require "token_owner";
local meeting = module:require "meeting";
local refuse = module:require "refuse";
local internal_room_jid_match_rewrite = module:require("util").internal_room_jid_match_rewrite;

local function has_token(address)
	return jid.host(address) == main_host;
end

local function is_owner_of(room)
	return function (address)
		return room:get_affiliation(address) == "owner";
	end;
end

-- Whether the bare JID of somebody inside is an owner's, or of somebody who becomes one when it matters.
local function can_moderate(room)
	local is_owner = is_owner_of(room);
	return function (address)
		return is_owner(address) or not by_token and has_token(address);
	end;
end

-- Whether an occupant has lost the connection and is the user of this session.
local function is_ghost_of(session, occupant)
	local old = prosody.full_sessions[occupant.jid];
	local lost = old and old.hibernating and old.jitsi_meet_context_user;
	local user = session.jitsi_meet_context_user;
	return type(lost) == "table" and type(user) == "table" and user.id ~= nil and user.id == lost.id;
end

-- Whether somebody else in the meeting can moderate it, or somebody on the way between its rooms.
local function is_moderated_beside(room, session)
	local can = can_moderate(room);
	for occupant in meeting.each_occupant(room) do
		if not is_service(occupant.bare_jid) and can(occupant.bare_jid) and not is_ghost_of(session, occupant) then
			return true;
		end
	end
	for address in pairs(meeting.travellers_of(room)) do
		if can(address) then
			return true;
		end
	end
	return false;
end

-- Whether somebody at the door opens what is closed.
local function is_awaited(room, session, address)
	if is_service(address) or room.kicked and room.kicked[address] then
		return false;
	elseif room:get_affiliation(address) == "owner" then
		return true;
	elseif session.host ~= main_host or room:get_affiliation(address) == "outcast" then
		return false; -- tokens of other hosts are not verified
	elseif by_token then
		return is_token_owner(session);
	end
	return not is_moderated_beside(room, session);
end

local function is_awaited_in(event)
	return is_awaited(event.room, event.origin, jid.bare(event.stanza.attr.from));
end

local function needs_place(address)
	return not placeless:contains(jid.host(address)) and not placeless:contains(jid.bare(address));
end

-- Whether an occupant can moderate the meeting now.
local function is_moderated(room)
	local can = can_moderate(room);
	for occupant in meeting.each_occupant(room) do
		local session = prosody.full_sessions[occupant.jid];
		if not is_service(occupant.bare_jid) and can(occupant.bare_jid) and session and not session.hibernating then
			return true;
		end
	end
	return false;
end

-- Ahead of muc_max_occupants (10), which lets one more into the main room
module:hook("muc-occupant-pre-join", function (event)
	local room, stanza = event.room, event.stanza;
	local from, travellers = stanza.attr.from, meeting.travellers_of(room);
	if places == math.huge or not needs_place(from) or room:get_occupant_jid(from) or travellers[jid.bare(from)] then
		return;
	end
	-- People, and not their seats in several rooms; machines share an account
	local free, people = places, {};
	local function count(person)
		free = people[person] and free or free - 1;
		people[person] = true;
	end
	for occupant in meeting.each_occupant(room) do
		if needs_place(occupant.bare_jid) then
			count(is_service(occupant.bare_jid) and occupant.nick or occupant.bare_jid);
		end
	end
	for address in pairs(travellers) do
		count(address);
	end
	if people[jid.bare(from)] then
		return;
	elseif free <= 0 and (is_moderated(room) or not is_awaited_in(event)) then
		module:log("info", "%s is full", room.jid);
		return refuse(event, "cancel", "service-unavailable");
	end
end, 10.5);

-- Before token_affiliation (-3.5), which leaves newcomers alone while the lobby is on
module:hook("muc-occupant-pre-join", function (event)
	local room, address = event.room, jid.bare(event.stanza.attr.from);
	local is_closed = room:get_members_only() or room:get_password();
	if is_closed and is_awaited_in(event) and room:get_affiliation(address) ~= "owner" then
		room:set_affiliation(true, address, "owner");
		event.occupant.role = "moderator"; -- was set before, from the affiliation of then
	end
end, -3);

-- After the lobby (-4), for which a password makes a member; before the password is looked at (-20)
module:hook("muc-occupant-pre-join", function (event)
	local room, join = event.room, event.stanza:get_child("x", MUC);
	if join and room:get_password() and is_awaited_in(event) then
		join:remove_children("password", MUC);
		join:reset(); -- others leave it where they added theirs
		join:text_tag("password", room:get_password(), { xmlns = MUC });
	end
end, -6);

-- Before av_moderation tells moderators who may speak (-2)
module:hook("muc-occupant-joined", function (event)
	local room, nick = event.room, event.occupant.nick;
	if not room.av_moderation or is_service(event.occupant.bare_jid) or room:get_role(nick) ~= "moderator" then
		return;
	end
	local address = internal_room_jid_match_rewrite(nick);
	for _, speakers in pairs(room.av_moderation) do
		local is_there = false;
		for _, each in ipairs(speakers) do
			is_there = is_there or each == address;
		end
		if not is_there then
			table.insert(speakers, address);
		end
	end
end, -1.5);

-- Who leaves takes the right to speak along, or the next one under that nick would have it.
module:hook("muc-occupant-left", function (event)
	local room, occupant = event.room, event.occupant;
	if not room.av_moderation or meeting.travellers_of(room)[occupant.bare_jid] then
		return;
	end
	local address = internal_room_jid_match_rewrite(occupant.nick);
	for _, speakers in pairs(room.av_moderation) do
		for index = #speakers, 1, -1 do
			if speakers[index] == address then
				table.remove(speakers, index);
			end
		end
	end
end);

if by_token then
	return;
end

-- Somebody has to become an owner

local waiting = {}; -- addresses of the rooms that are looked at when their grace is over, as a set
local look_later;

-- Asks somebody with a token in from the lobby, one after the other.
local function ask_in(room)
	local lobby = room._data.lobbyroom and meeting.find_room(room._data.lobbyroom);
	if not lobby then
		return;
	end
	lobby.asked_in = lobby.asked_in or {};
	for _, occupant in lobby:each_occupant() do
		local address = occupant.bare_jid;
		if has_token(address) and not lobby.asked_in[address] then
			lobby.asked_in[address] = true;
			module:log("info", "No moderator is left in %s, %s is asked in", room.jid, address);
			for session_address in occupant:each_session() do
				room:route_stanza(st.message({ from = room.jid, to = session_address })
					:tag("x", { xmlns = MUC .. "#user" }):tag("invite", { from = room.jid }));
			end
			look_later(room);
			return;
		end
	end
end

-- Full JID of Jicofo. What it does, av_moderation tells all moderators, and so Jicofo.
local function jicofo_in(room)
	for _, occupant in room:each_occupant() do
		if is_service(occupant.bare_jid) and room:get_affiliation(occupant.bare_jid) == "owner" then
			return occupant.jid;
		end
	end
end

local function look(room)
	if meeting.find_participant(room, is_owner_of(room)) then
		look_later(room); -- who is on the way may not arrive
		return;
	end
	local somebody = meeting.find_person(room, has_token);
	if somebody then
		module:log("info", "No moderator is left in %s, %s becomes one", room.jid, somebody);
		room:set_affiliation(jicofo_in(room) or true, somebody, "owner");
	else
		ask_in(room);
	end
end

function look_later(room)
	local address = room.jid;
	if waiting[address] or meeting.find_person(room, is_owner_of(room)) then
		return;
	end
	waiting[address] = true;
	module:add_timer(grace, function ()
		waiting[address] = nil;
		local same = muc.get_room_from_jid(address);
		if same and not same.destroying then
			look(same);
		end
	end);
end

local function on_change(event)
	local main_room = meeting.main_room_of(event.room);
	if main_room and not main_room.destroying then
		look_later(main_room);
	end
end

meeting.with_rooms(function (context)
	context:hook("muc-occupant-joined", on_change);
	context:hook("muc-occupant-left", on_change);
end);
module:hook("muc-set-affiliation", on_change);

-- Who comes to the lobby when the last moderator has left already
meeting.with_host(meeting.lobby_muc, function (context)
	context:hook("muc-occupant-joined", function (event)
		local main_room = event.room.main_room_jid and muc.get_room_from_jid(event.room.main_room_jid);
		if main_room then
			look_later(main_room);
		end
	end);
end);

-- After a reload
for room in muc.all_rooms() do
	look_later(room);
end
