-- Stand-in (test double) for Jitsi's mod_muc_password_whitelist: not Jitsi's code.
-- Some need no password for a room: it is put into their presence.
local jid = require "util.jid";

local MUC = "http://jabber.org/protocol/muc";

local whitelist;
local function load_options()
	whitelist = module:get_option_set("muc_password_whitelist", {});
end
load_options();
module:hook_global("config-reloaded", load_options);

-- After lobby and members-only, before the password is looked at
module:hook("muc-occupant-pre-join", function (event)
	local stanza = event.stanza;
	local from = stanza.attr.from;
	if jid.node(from) == nil
		or not (whitelist:contains(jid.host(from)) or whitelist:contains(jid.bare(from))) then
		return;
	end
	local join = stanza:get_child("x", MUC) or stanza:tag("x", { xmlns = MUC });
	join:remove_children("password", MUC);
	join:text_tag("password", event.room:get_password(), { xmlns = MUC });
end, -7);
