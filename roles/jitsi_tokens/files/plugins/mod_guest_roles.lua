-- Guests moderate only when a moderator makes them.
--
-- Jicofo makes another participant owner when the last owner leaves, and other modules promote on
-- their own account, whoever it is.
--
-- Goes on the MUC components where guests meet others.
--
-- Options (MUC component):
--   guest_hosts   names of the VirtualHosts of guests
--   admins        JIDs that count as machines, not as moderators (also global)
local jid = require "util.jid";

local guest_hosts = module:get_option_set("guest_hosts", {});
local admins = module:get_option_inherited_set("admins", {});

-- True where no person stands behind an order: a module gives no actor, Jicofo is an admin.
local function is_machine(actor)
	return actor == nil or actor == true or admins:contains(jid.bare(actor));
end

local function refuse(event, bare_jid)
	if not guest_hosts:contains(jid.host(bare_jid)) or not is_machine(event.actor) then
		return;
	end
	module:log("info", "%s stays a guest in %s", bare_jid, event.room.jid);
	event.allowed = false;
	event.error = { type = "cancel", condition = "not-allowed" };
	return true; -- before jitsi_permissions, which passes on the actor's rights
end

module:hook("muc-pre-set-affiliation", function (event)
	if event.affiliation == "owner" or event.affiliation == "admin" then
		return refuse(event, event.jid);
	end
end, 1000);

module:hook("muc-pre-set-role", function (event)
	if event.role == "moderator" then
		local refused = refuse(event, event.occupant.bare_jid);
		if refused then
			event.error, event.condition = "cancel", "not-allowed";
		end
		return refused;
	end
end, 1000);
