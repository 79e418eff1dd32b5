-- Takes from people what Jitsi's clients ask of a room, and nothing else.
--
-- XEP-0045 gives an owner more than a meeting stands: a persistent room outlives its meeting and lets
-- guests meet without a host, a ban of a whole host locks all others out, a registered nick throws
-- out who has it. Clients turn the lobby on and off, set a password, and see all addresses. Of a form,
-- the other fields have no effect; a form that does not speak of the lobby leaves it as it is, where
-- upstream takes it away and leaves the room closed. Other requests are refused.
--
-- Goes on every MUC in which people are.
--
-- Options (MUC component):
--   muc_requests_form   whether owners may submit the form at all, false; elsewhere than in the
--                       meeting itself, rights and doors are those of the meeting
--   admins              JIDs that may ask for anything
--   those of meeting.lib
local jid = require "util.jid";
local new_throttle = require "util.throttle".create;
local resourceprep = require "util.encodings".stringprep.resourceprep;

local takes_form = module:get_option_boolean("muc_requests_form", false);
local admins = module:get_option_inherited_set("admins", {});
local is_service = module:require("machines").is_service;
local meeting = module:require "meeting";
local refuse = module:require "refuse";

local DATA_FORM = "jabber:x:data";
local MUC_USER = "http://jabber.org/protocol/muc#user";
local CONFIG = "muc#roomconfig_";
local LOBBY, WHOIS = CONFIG .. "membersonly", CONFIG .. "whois";
local FIELDS = {
	FORM_TYPE = true, [LOBBY] = true, [WHOIS] = true,
	[CONFIG .. "roomsecret"] = true, [CONFIG .. "passwordprotectedroom"] = true,
};
local VALUES = {
	[LOBBY] = { ["0"] = true, ["1"] = true, ["false"] = true, ["true"] = true },
	[WHOIS] = { anyone = true },
};
-- Of invitations in one message, of which each takes a hundredth of a millisecond: a lobby with a
-- hundred people is let in at once
local COPIES, COPIES_RATE = 20000, 1000;
local AFFILIATIONS = { owner = true, member = true, none = true, outcast = true };

local function is_person(stanza)
	return not admins:contains(jid.bare(stanza.attr.from));
end

local function room_of(stanza)
	return module:depends("muc").get_room_from_jid(jid.bare(stanza.attr.to));
end

-- Leaves the fields that clients set, each once.
local function reduce(form, room)
	local seen = {};
	form:maptags(function (field)
		local name = field.name == "field" and field.attr.xmlns == form.attr.xmlns and field.attr.var;
		local values = VALUES[name];
		if not FIELDS[name] or seen[name] or values and not values[field:get_child_text("value")] then
			return nil;
		end
		seen[name] = true;
		return field;
	end);
	if not seen[LOBBY] then
		form:tag("field", { var = LOBBY }):text_tag("value", room:get_members_only() and "1" or "0"):up();
	end
end

-- The form of a room, or an order to destroy it
local function check_configuration(event)
	local stanza = event.stanza;
	local order = stanza.tags[1].tags[1];
	if not is_person(stanza) or not order then
		return;
	elseif not takes_form then
		return refuse(event, "cancel", "not-allowed", "Only the meeting itself is configured");
	elseif order.name == "destroy" then
		order.attr.jid = nil; -- nobody is sent elsewhere
		return;
	elseif order.attr.xmlns ~= DATA_FORM or order.attr.type ~= "submit" then
		return;
	end
	local room = room_of(stanza);
	if room and room:get_affiliation(stanza.attr.from) == "owner" then
		if order.tags[1] == nil then
			return refuse(event, "cancel", "not-allowed", "The form is empty");
		end
		reduce(order, room);
	end
end

-- What is wrong with an order to change somebody's role or affiliation, or nil
local function problem_of(item, room)
	local address = item.attr.jid and jid.prep(item.attr.jid);
	local nick = item.attr.nick and resourceprep(item.attr.nick);
	if item.name ~= "item" or not address and not nick then
		return "Name somebody";
	elseif item.attr.jid and (item.attr.nick or not jid.node(address)) then
		return "Name one person, by address or by nick";
	elseif item.attr.affiliation and not AFFILIATIONS[item.attr.affiliation] then
		return "There is no such affiliation here";
	end
	local occupant = nick and room and room:get_occupant_by_nick(room.jid .. "/" .. nick);
	local target = occupant and occupant.bare_jid or address and jid.bare(address);
	if target and (admins:contains(target) or item.attr.affiliation and is_service(target)) then
		return "This occupant is no person";
	elseif item.attr.affiliation and module.host == meeting.lobby_muc then
		return "Rights are given in the meeting";
	end
end

local function check_people(event)
	local stanza = event.stanza;
	if not is_person(stanza) then
		return;
	end
	local room = room_of(stanza);
	local items = stanza.tags[1].tags;
	if not items[1] then
		return refuse(event, "cancel", "not-allowed", "Name somebody");
	elseif items[2] then
		return refuse(event, "cancel", "not-allowed", "Name one person at a time");
	end
	for _, item in ipairs(items) do
		local problem = stanza.attr.type == "set" and problem_of(item, room);
		if problem then
			return refuse(event, "cancel", "not-allowed", problem);
		end
	end
end

local function refuse_people(event)
	if is_person(event.stanza) then
		return refuse(event, "cancel", "not-allowed", "This is not used here");
	end
end

-- Hosts of machines and components take no word from people, nor by way of a room
local function is_closed(host)
	local session = host and prosody.hosts[host];
	return not session or session.type ~= "local" or session.modules.local_login ~= nil;
end

-- Whether a session may invite so many people by one message, which is copied for each of them.
local function may_invite(session, people)
	local copies = session.muc_requests_copies;
	if not copies then
		copies = new_throttle(COPIES, COPIES / COPIES_RATE);
		session.muc_requests_copies = copies;
	end
	return copies:poll(people * people);
end

-- Takes out what clients of others take for somebody else's: a name beside the sender's, and beside a
-- text captions or a subject, which the room looks at by themselves alone.
local function take_out_what_is_forged(stanza)
	stanza:remove_children("display-name", "http://jitsi.org/protocol/display-name");
	local is_private = stanza.attr.type ~= "groupchat";
	if stanza:get_child("body") then
		stanza:remove_children("json-message", "http://jitsi.org/jitmeet");
	end
	if is_private or stanza:get_child("body") then
		stanza:remove_children("subject");
	end
end

-- Requests for a voice and answers to them, which name somebody else (XEP-0045, section 7.13), are not
-- used; invitations are, by those who are in the room
local function check_message(event)
	local stanza = event.stanza;
	if not is_person(stanza) then
		return;
	end
	take_out_what_is_forged(stanza);
	if stanza.attr.type == "groupchat" then
		return;
	elseif stanza:get_child("x", DATA_FORM) then
		return refuse(event, "cancel", "not-allowed", "This is not used here");
	end
	local x = stanza:get_child("x", MUC_USER);
	local payloads = x and x.tags or {};
	if not payloads[1] then
		return;
	end
	local room = room_of(stanza);
	room = room and meeting.main_room_of(room) or room;
	local occupant = room and meeting.find_occupant(room, stanza.attr.from);
	for _, payload in ipairs(payloads) do
		if not occupant or payload.name ~= "invite" or is_closed(jid.host(jid.prep(payload.attr.to or ""))) then
			return refuse(event, "cancel", "not-allowed", "This is no invitation of an occupant to a person");
		end
	end
	if payloads[2] and (occupant.role ~= "moderator" or not may_invite(event.origin, #payloads)) then
		return refuse(event, "wait", "resource-constraint", "Invite fewer at a time");
	end
end

for _, form in ipairs { "bare", "host" } do
	module:hook("iq-set/" .. form .. "/http://jabber.org/protocol/muc#owner:query", check_configuration, 1000);
	for _, kind in ipairs { "get", "set" } do
		module:hook("iq-" .. kind .. "/" .. form .. "/http://jabber.org/protocol/muc#admin:query", check_people, 1000);
	end
	-- Without the kind: Prosody asks those first that do not name it, as its own are
	module:hook("iq/" .. form .. "/jabber:iq:register:query", refuse_people, 1000);
	module:hook("iq/" .. form .. "/vcard-temp:vCard", refuse_people, 1000);
	module:hook("message/" .. form, check_message, 1000);
end
module:hook("message/full", function (event)
	if is_person(event.stanza) then
		take_out_what_is_forged(event.stanza);
	end
end, 1000);
