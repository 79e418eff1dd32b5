-- Stand-in (test double) for Jitsi's mod_polls_component: not Jitsi's code.
-- Passes a new poll on to everybody in the meeting. Like the real one it takes what people send for an
-- object, whatever it is.
local json = require "cjson.safe";
local st = require "util.stanza";
local util = module:require "util";

local namespace = "http://jitsi.org/jitmeet";

module:depends("jitsi_session");

module:hook("message/host", function (event)
	local session, stanza = event.origin, event.stanza;
	local content = stanza:get_child_text("json-message", namespace);
	local name = session.jitsi_web_query_room;
	local room = content and name
		and util.get_room_by_name_and_subdomain(name, session.jitsi_web_query_prefix);
	local occupant = room and room:get_occupant_by_real_jid(stanza.attr.from);
	if not occupant then
		return;
	end
	local data, problem = json.decode(content);
	if problem or data.command ~= "new-poll" then
		return true;
	end
	for _, each in room:each_occupant() do
		module:send(st.message({ from = module.host, to = each.jid })
			:text_tag("json-message", json.encode(data), { xmlns = namespace }));
	end
	return true;
end);

util.advertise("polls");
