-- Stand-in (test double) for Jitsi's mod_jitsi_session: not Jitsi's code.
-- Keeps what a BOSH or WebSocket client says in its address and headers. Nothing is checked here.
module:set_global();

local formdecode = require "util.http".formdecode;

local region_header = module:get_option_string("region_header_name", "x_proxy_region");

local function read_request(event)
	local session, request = event.session, event.request;
	local authorization = request.headers.authorization;
	-- Whatever stands in the place of "Bearer " is dropped
	session.auth_token = authorization and authorization:sub(8);
	session.user_region = request.headers[region_header];
	session.user_agent_header = request.headers.user_agent;
	if request.url.query == nil then
		return;
	end
	local params = formdecode(request.url.query);
	session.previd = params.previd;
	session.customusername = params.customusername;
	session.jitsi_web_query_room = params.room;
	session.jitsi_web_query_prefix = params.prefix or "";
	session.auth_token = params.token or session.auth_token;
end

module:hook_global("bosh-session", read_request, 1);
module:hook_global("websocket-session", read_request, 1);
