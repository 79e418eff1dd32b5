-- Answers a stanza with an error, and ends its event.
--
-- Use: local refuse = module:require "refuse"; return refuse(event, "cancel", "not-allowed", "The reason");
-- What follows the event is as util.stanza's error_reply has it. Errors and results get no answer
-- (RFC 6120, sections 8.2.3 and 8.3.1).
local st = require "util.stanza";

return function (event, kind, condition, text, by)
	local stanza = event.stanza;
	module:log("debug", "Refused %s: %s", stanza.attr.from, text or condition);
	if stanza.attr.type ~= "error" and stanza.attr.type ~= "result" then
		event.origin.send(st.error_reply(stanza, kind, condition, text, by));
	end
	return true;
end;
