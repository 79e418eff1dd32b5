-- People come in through the web server alone.
--
-- Where bridges, recorders or gateways on other hosts log in, others reach Prosody as well. On a direct
-- connection nobody counts what an address does, and nothing else is in front of the login.
--
-- Goes on VirtualHosts of people.
--
-- Options (Prosody's own):
--   c2s_ports              ports of direct connections, { 5222 }
--   c2s_direct_tls_ports   those that begin with TLS, { }
local st = require "util.stanza";

local direct_ports = module:get_option_set("c2s_ports", { 5222 })
	+ module:get_option_set("c2s_direct_tls_ports", {});

local function is_direct(session)
	local conn = session.conn;
	-- LuaSocket gives the port as a string on some versions
	return direct_ports:contains(conn and conn.serverport and tonumber(conn:serverport()));
end

-- Before all others: returning true ends the event, so nothing is offered
module:hook("stream-features", function (event)
	if not event.origin.username and is_direct(event.origin) then
		return true;
	end
end, 10000);

for _, element in ipairs { "auth", "response" } do
	module:hook("stanza/urn:ietf:params:xml:ns:xmpp-sasl:" .. element, function (event)
		local session = event.origin;
		if session.username or not is_direct(session) then
			return;
		end
		session.log("warn", "Refused a login past the web server");
		session.send(st.stanza("failure", { xmlns = "urn:ietf:params:xml:ns:xmpp-sasl" })
			:tag("not-authorized"):up()
			:text_tag("text", "People come in through the web server"));
		return true;
	end, 10000);
end

module:hook("pre-resource-bind", function (event)
	if is_direct(event.session) then
		event.session.log("warn", "Refused a session past the web server");
		return false;
	end
end, 10000);
