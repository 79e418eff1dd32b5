-- Keeps the lists of who may speak as short as they are meant.
--
-- Upstream appends whoever a moderator lets speak, also who is in the list, and sends the whole list to
-- all moderators each time. Here people are taken out before they are put in.
--
-- Goes on the component of the AV moderation. No options.
local jid = require "util.jid";
local meeting = module:require "meeting";
local util = module:require "util";

local function take_out(list, address)
	for index = #list, 1, -1 do
		if list[index] == address then
			table.remove(list, index);
		end
	end
end

module:hook("message/host", function (event)
	local session, stanza = event.origin, event.stanza;
	local order = stanza:get_child("av_moderation");
	local name = order and order.attr.jidToWhitelist and session.jitsi_web_query_room;
	local room = name and util.get_room_by_name_and_subdomain(name, session.jitsi_web_query_prefix);
	local actor = room and room:get_occupant_by_real_jid(stanza.attr.from);
	local list = actor and actor.role == "moderator" and room.av_moderation
		and room.av_moderation[order.attr.mediaType];
	if list then
		take_out(list, order.attr.jidToWhitelist);
	end
end, 1000);

-- Who is made a moderator, before upstream (-1)
meeting.with_host(meeting.main_muc, function (context)
	context:hook("muc-set-affiliation", function (event)
		local room = event.room;
		if not room.av_moderation or event.affiliation ~= "owner" then
			return;
		end
		for nick, occupant in room:each_occupant() do
			for _, list in pairs(occupant.bare_jid == jid.bare(event.jid) and room.av_moderation or {}) do
				take_out(list, util.internal_room_jid_match_rewrite(nick));
			end
		end
	end);
end);
