-- Who in a room is no person: Jicofo and other admins, and the accounts of service hosts, such as
-- recorders.
--
-- Use: local is_machine = module:require "machines";
-- Options (of the module's host or global):
--   admins                      JIDs that are no people, as on every MUC
--   owner_party_service_hosts   hosts whose users are no people, { }
local jid = require "util.jid";

local admins = module:get_option_inherited_set("admins", {});
local service_hosts = module:get_option_set("owner_party_service_hosts", {});

-- True for the bare or full JID of a machine.
return function (address)
	return admins:contains(jid.bare(address)) or service_hosts:contains(jid.host(address));
end;
