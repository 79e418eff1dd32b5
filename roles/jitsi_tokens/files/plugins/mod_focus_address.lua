-- Requests to Jicofo go to its own address, where mod_focus_guard looks at them.
--
-- Jicofo answers wherever a request reaches it: also as an occupant of a meeting, to whom everybody
-- in it can send an iq. There a guest opened rooms of the internal MUC, and of its health check.
--
-- Goes on every VirtualHost from which people or recorders come.
--
-- Options (VirtualHost or global):
--   muc_mapper_domain_base   main domain; Jicofo answers at focus.<it>
local jid = require "util.jid";
local refuse = module:require "refuse";

local FOCUS = "http://jitsi.org/protocol/focus";
local focus_host = "focus." .. module:get_option_string("muc_mapper_domain_base");

local function check(event)
	local stanza = event.stanza;
	for _, payload in ipairs(jid.host(stanza.attr.to) ~= focus_host and stanza.tags or {}) do
		-- Upstream's muc_domain_mapper takes it for one without the namespace, too
		if payload.attr.xmlns == FOCUS or payload.name == "conference" and not payload.attr.xmlns then
			return refuse(event, "cancel", "not-allowed", "Ask " .. focus_host);
		end
	end
end

for _, form in ipairs { "host", "bare", "full" } do
	module:hook("pre-iq/" .. form, check, 1000);
end
