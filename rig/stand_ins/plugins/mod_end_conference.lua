-- Stand-in (test double) for Jitsi's mod_end_conference: not Jitsi's code.
-- Ends the meeting of a moderator who says so.
local util = module:require "util";

module:depends("jitsi_session");

if not module:get_option_string("muc_component") then
	module:log("error", "muc_component has to be set");
	return;
end

module:hook("message/host", function (event)
	local session, stanza = event.origin, event.stanza;
	if stanza.attr.type == "error" then
		return;
	end
	local name = session.jitsi_web_query_room;
	local room = name and stanza:get_child("end_conference")
		and util.get_room_by_name_and_subdomain(name, session.jitsi_web_query_prefix);
	local occupant = room and room:get_occupant_by_real_jid(stanza.attr.from);
	if not occupant or occupant.role ~= "moderator" then
		module:log("warn", "%s may not end a meeting", stanza.attr.from);
		return false;
	end
	room:destroy(nil, "The meeting has been terminated");
	return true;
end);

util.advertise("end_conference");
