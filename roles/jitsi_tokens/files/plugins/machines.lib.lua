-- Who is no person. Machines (recorders, SIP gateways) come into meetings; Jicofo, the bridges and other
-- admins serve them.
--
-- Use: local machines = module:require "machines";
-- Options (of the module's host or global):
--   machine_hosts               names of VirtualHosts whose users are machines, { }
--   service_hosts               those, and the hosts of Jicofo and the bridges, { }
--   owner_party_service_hosts   in place of service_hosts, where it is set
--   admins                      JIDs that are no people, as on every MUC
local jid = require "util.jid";

local machine_hosts = module:get_option_set("machine_hosts", {});
local service_hosts = module:get_option_set("owner_party_service_hosts")
	or module:get_option_set("service_hosts", {});
local admins = module:get_option_inherited_set("admins", {});

local machines = {};

-- True for the bare or full JID of a machine.
function machines.is_machine(address)
	return machine_hosts:contains(jid.host(address));
end

-- True for the bare or full JID of whoever is no person.
function machines.is_service(address)
	return admins:contains(jid.bare(address)) or service_hosts:contains(jid.host(address));
end

return machines;
