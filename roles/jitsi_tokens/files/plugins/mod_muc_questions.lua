-- What people send to the MUC itself, and to no room of it, is a question.
--
-- Upstream's muc_domain_mapper remembers the id of everything that goes to the MUC under the name that
-- it has for a tenant, until an answer with that id comes by. Where none comes, the next stanza with
-- that id, whoever sends it, is given another sender; and what is remembered is never forgotten.
--
-- Goes on every VirtualHost of people.
--
-- Options (VirtualHost or global):
--   muc_mapper_domain_base   main domain
local refuse = module:require "refuse";

local base = "." .. module:get_option_string("muc_mapper_domain_base");

local PREFIX = "conference.";
local MAX_ID = 128; -- bytes; clients number theirs

local function is_question(stanza)
	local kind = stanza.attr.type;
	return stanza.name == "iq" and (kind == "get" or kind == "set") and #(stanza.attr.id or "") <= MAX_ID;
end

local function check(event)
	local stanza = event.stanza;
	local to = stanza.attr.to;
	if to:sub(1, #PREFIX) == PREFIX and to:sub(-#base) == base and not is_question(stanza) then
		return refuse(event, "cancel", "not-allowed", "Ask a room");
	end
end

for _, kind in ipairs { "iq", "message", "presence" } do
	module:hook("pre-" .. kind .. "/host", check, 1000);
end
