-- An error in a module ends with an answer, not with silence.
--
-- Many modules read what people send without looking at it first: a number where they expect an
-- object, an attribute that is not there. The error that follows ends the work on that stanza in the
-- middle, leaves whoever sent it without an answer, and writes its whole way into the log. Here the
-- sender is told that the request is bad, and the log gets one line, without what was sent.
--
-- Belongs to all hosts, so it is loaded once, globally. No options.
module:set_global();

local st = require "util.stanza";

local function contain_on(host)
	return function (handlers, name, event)
		local ok, result = pcall(handlers, name, event);
		if ok then
			return result;
		end
		local stanza = event.stanza;
		local reason = tostring(result):gsub("\n.*", "");
		module:log("warn", "%s to %s failed: %s", stanza.name, host, reason);
		if stanza.attr.type ~= "error" and stanza.attr.type ~= "result" and event.origin.send then
			event.origin.send(st.error_reply(stanza, "modify", "bad-request"));
		end
		return true;
	end;
end

local function guard(host)
	local context, contain = module:context(host), contain_on(host);
	for _, kind in ipairs { "iq", "message", "presence" } do
		for _, form in ipairs { "bare", "full", "host" } do
			for _, prefix in ipairs { "", "pre-" } do
				context:wrap_event(prefix .. kind .. "/" .. form, contain);
			end
		end
	end
end

for host in pairs(prosody.hosts) do
	guard(host);
end
module:hook("host-activated", guard);
