-- Guests moderate only when a moderator makes them.
--
-- Jicofo makes another participant owner when the last owner leaves, and other modules promote on
-- their own account, whoever it is. Where Jicofo has chosen a guest, it takes the matter for settled,
-- so from then on this module chooses in its place, among people of the main host. Machines count as
-- guests here.
--
-- Goes on the MUC components where they meet others.
--
-- Options (MUC component or global):
--   guest_hosts              names of the VirtualHosts of guests and machines
--   admins                   JIDs that count as machines, not as moderators
--   muc_mapper_domain_base   name of the main VirtualHost
local jid = require "util.jid";

local guest_hosts = module:get_option_set("guest_hosts", {});
local admins = module:get_option_inherited_set("admins", {});
local main_host = module:get_option_string("muc_mapper_domain_base");

local function choose_owner(room)
	local candidate;
	for _, occupant in room:each_occupant() do
		local address = occupant.bare_jid;
		if not admins:contains(address) then
			if room:get_affiliation(address) == "owner" then
				return;
			elseif jid.host(address) == main_host then
				candidate = candidate or address;
			end
		end
	end
	if candidate then
		room:set_affiliation(true, candidate, "owner");
	end
end

-- True where no person stands behind an order: a module gives no actor, Jicofo is an admin.
local function is_machine(actor)
	return actor == nil or admins:contains(jid.bare(actor));
end

local function is_refused(event, address)
	return guest_hosts:contains(jid.host(address)) and is_machine(event.actor);
end

module:hook("muc-pre-set-affiliation", function (event)
	local room, affiliation = event.room, event.affiliation;
	if affiliation ~= "owner" and affiliation ~= "admin" or not is_refused(event, event.jid) then
		return;
	end
	module:log("info", "%s stays a guest in %s", event.jid, room.jid);
	event.allowed = false;
	if event.actor then
		room.guest_roles_chooses = true;
		choose_owner(room);
	end
	return true; -- before jitsi_permissions, which hands on the actor's rights
end, 1000);

module:hook("muc-pre-set-role", function (event)
	if event.role == "moderator" and is_refused(event, event.occupant.bare_jid) then
		event.allowed, event.error, event.condition = false, "cancel", "not-allowed";
		return true;
	end
end, 1000);

for _, name in ipairs { "muc-occupant-joined", "muc-occupant-left" } do
	module:hook(name, function (event)
		if event.room.guest_roles_chooses then
			choose_owner(event.room);
		end
	end, -100);
end
