-- Who was thrown out of a meeting comes back as a newcomer, if at all.
--
-- Who loses membership while the lobby is on is thrown out as well. To throw somebody out by their
-- role does not take their right: a member walks back in past the lobby, and into the breakout rooms.
-- So the right goes as well. Until a moderator lets them in again, where the lobby is on, that login is
-- no longer welcome in any room of the meeting; where it is off, somebody who logs in anew is somebody
-- else to the server.
--
-- Goes on the MUC component of the meetings. Others find the bare JIDs of the thrown out in
-- `room.kicked`, a set.
--
-- Options (MUC component or global):
--   muc_mapper_domain_base   main domain
--   admins                   JIDs that throw people out for reasons of their own, Jicofo
local jid = require "util.jid";
local is_service = module:require("machines").is_service;
local meeting = module:require "meeting";
local refuse = module:require "refuse";

local MUC = "http://jabber.org/protocol/muc";
local REMOVED = { ["307"] = true, ["321"] = true }; -- by role, by affiliation: XEP-0045, section 15.6
local admins = module:get_option_inherited_set("admins", {});

-- Machines share an account: who throws one out does not mean the others
local function is_kick(event)
	if event.actor and not is_service(event.occupant.bare_jid)
		and not admins:contains(jid.bare(event.actor)) then
		for status in event.x:childtags("status") do
			if REMOVED[status.attr.code] then
				return true;
			end
		end
	end
	return false;
end

meeting.with_rooms(function (context)
	-- Told before they have left
	context:hook("muc-broadcast-presence", function (event)
		local main_room = is_kick(event) and meeting.main_room_of(event.room);
		if main_room then
			main_room.kicked = main_room.kicked or {};
			main_room.kicked[event.occupant.bare_jid] = true;
		end
	end);

	-- Their other seats go as well, in all rooms of the meeting
	context:hook("muc-occupant-left", function (event)
		local main_room, address = meeting.main_room_of(event.room), event.occupant.bare_jid;
		if not main_room or not main_room.kicked or not main_room.kicked[address] or main_room.destroying then
			return;
		end
		meeting.travellers_of(main_room)[address] = nil;
		for _, room in ipairs(meeting.rooms_of(main_room)) do
			for nick, occupant in room:each_occupant() do
				if occupant.bare_jid == address then
					room:set_role(true, nick, nil);
				end
			end
		end
		if (main_room:get_affiliation(address) or "none") ~= "outcast" then
			main_room:set_affiliation(true, address, "none");
		end
	end, 100);

	context:hook("muc-occupant-joined", function (event)
		if event.room.kicked then
			event.room.kicked[event.occupant.bare_jid] = nil;
		end
	end, 100);
end);

module:hook("muc-occupant-pre-join", function (event)
	local room, stanza = event.room, event.stanza;
	local address = jid.bare(stanza.attr.from);
	if not room.kicked or not room.kicked[address] then
		return;
	elseif not room:get_members_only() then
		return refuse(event, "auth", "forbidden", "You were removed from this meeting");
	end
	local join = stanza:get_child("x", MUC);
	if join then
		join:remove_children("password", MUC); -- which would let them past the lobby
	end
end, 51);
