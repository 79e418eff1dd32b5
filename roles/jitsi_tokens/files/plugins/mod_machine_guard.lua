-- Keeps machines (recorders, SIP gateways) and bridges to what they are in a MUC for.
--
-- Every door lets machines pass: they need no token, no password and nobody who admits them. So they
-- come into a meeting only while people are in it, and moderate nothing, whoever would make them. They
-- do not keep it alive (mod_empty_meetings). In the MUC of the breweries they enter their own and no
-- other, in which they could pass for a bridge. From other MUCs they stay out.
--
-- Bridges enter their brewery alone, and own not even that where they come before Jicofo: one that is
-- taken over hears of no meeting, and shows nobody out. Most doors let them pass as well.
--
-- Goes on all MUC components.
--
-- Options (MUC component or global):
--   machine_guard_breweries   mapping of such a host, and of the bridges', to the address of the only
--                             room of this MUC that its users enter; where it is not set, the rooms are
--                             meetings
--   muc_mapper_domain_base    main domain; bridges are at auth.<it>, and so is Jicofo
--   admins                    Prosody's own; Jicofo is one in each MUC that it enters
--   machine_guard_closed      true: no machine enters a room of this MUC, false
--   those of meeting.lib and machines.lib
local jid = require "util.jid";

local breweries = module:get_option("machine_guard_breweries");
local bridges = "auth." .. module:get_option_string("muc_mapper_domain_base");
local is_closed = module:get_option_boolean("machine_guard_closed", false);
local admins = module:get_option_inherited_set("admins", {});

local is_recorder_or_gateway = module:require("machines").is_machine;
local meeting = module:require "meeting";
local refuse = module:require "refuse";

local function is_bridge(address)
	return jid.host(address) == bridges and not admins:contains(jid.bare(address));
end

local function is_machine(address)
	return is_recorder_or_gateway(address) or is_bridge(address);
end

local function may_enter(room, from)
	if is_closed then
		return false;
	elseif breweries then
		return room.jid == breweries[jid.host(from)];
	end
	return not is_bridge(from) and meeting.find_participant(room) ~= nil;
end

-- Before the rates: who is refused at once waits in no queue
local function refuse_machine(event)
	local from = event.stanza.attr.from;
	if not is_machine(from) or may_enter(event.room, from) then
		return;
	end
	module:log("info", "Refused the machine %s the room %s", from, event.room.jid);
	return refuse(event, "cancel", "not-allowed", "This room is closed to machines now");
end
module:hook("muc-room-pre-create", refuse_machine, 1000);
module:hook("muc-occupant-pre-join", refuse_machine, 1000);

-- After guest_roles (1000), which chooses a person where Jicofo chose a machine. All machines of a kind
-- have one account, so that a ban of one would be a ban of all.
module:hook("muc-pre-set-affiliation", function (event)
	if is_machine(event.jid) and (event.affiliation or "none") ~= "member" then
		event.allowed = false;
		return true;
	end
end, 999);

module:hook("muc-pre-set-role", function (event)
	if event.role == "moderator" and is_machine(event.occupant.bare_jid) then
		event.allowed, event.error, event.condition = false, "cancel", "not-allowed";
		return true;
	end
end, 999);
