-- Lets people ask Jicofo for rooms of the meetings only, and for so many.
--
-- Jicofo joins any room that it is asked for, also in MUCs that are closed to people. Asked for the
-- room in which it meets the bridges, it would leave that room when nobody joins. A name that begins
-- with a bracket is read in two ways, so nobody could end such a room, and each room that is asked for
-- stays for some time, or as long as one guest waits for it.
--
-- While an operator waits until nobody is in a meeting (wait_for_empty, no_new_meetings), no new one
-- begins: the console sets prosody.vestibule_closed_until, in seconds since 1970. People may enter
-- meetings that there are.
--
-- Goes on the component under whose address Jicofo answers (client_proxy). What goes to Jicofo by
-- another way is stopped by mod_focus_address.
--
-- Options (global, or of this component):
--   muc_mapper_domain_base     main domain; meetings are at conference.<it>, conference.<tenant>.<it>
--                              and breakout.<it>
--   focus_guard_burst          rooms that one session may ask for at once, 10
--   focus_guard_rate           further ones a minute, 6
local cache = require "util.cache";
local jid = require "util.jid";

local FOCUS = "http://jitsi.org/protocol/focus";
local RESERVED = "^__jicofo%-health%-check";
local MINUTE = 60; -- seconds

local base = module:get_option_string("muc_mapper_domain_base");
local suffix = "." .. base;
local meeting = module:require "meeting";
local wall_clock = os.time;
local refuse = module:require "refuse";
local bucket = module:require "bucket";

local burst, rate;
local function read_settings()
	burst = module:get_option_number("focus_guard_burst", 10);
	rate = module:get_option_number("focus_guard_rate", 6);
end
read_settings();
module:hook_global("config-reloaded", read_settings);

-- The room and the MUC of an address as Jicofo reads it: in small letters, and one form of those that
-- look the same. Nil where that is no place for a meeting.
local function read(address)
	local room, host = jid.prepped_split(address or "");
	if not room or room:find("[", 1, true) or room:find(RESERVED) then
		return;
	elseif host == meeting.breakout_muc or host == "conference" .. suffix then
		return room, host;
	end
	local tenant = host:sub(1, 11) == "conference." and host:sub(-#suffix) == suffix
		and host:sub(12, -#suffix - 1);
	if tenant and tenant:find("^[^.%[%]]+$") then
		return room, host, tenant;
	end
end

-- Whether a meeting would begin, though none may now. Rooms of tenants are named as in the one MUC.
local function is_closed_to(room, tenant)
	if (prosody.vestibule_closed_until or 0) <= wall_clock() then
		return false;
	end
	local name = tenant and ("[%s]%s"):format(tenant, room) or room;
	return not meeting.find_room(name .. "@" .. meeting.main_muc);
end

-- Whether a session has asked for too many rooms. The ones it knows count once.
local function is_too_many(session, address)
	local asked = session.focus_guard_asked;
	if not asked then
		asked = { rooms = cache.new(burst) };
		session.focus_guard_asked = asked;
	end
	asked.rooms:resize(burst);
	asked.bucket = bucket(asked.bucket, burst, rate / MINUTE);
	if asked.rooms:get(address) then
		return false;
	elseif not asked.bucket:poll(1) then
		return true;
	end
	asked.rooms:set(address, true);
	return false;
end

local function check(event)
	local origin, stanza = event.origin, event.stanza;
	local request = stanza:get_child("conference", FOCUS);
	if not request or stanza.attr.type == "result" or stanza.attr.type == "error" then
		return;
	end
	local room, host, tenant = read(request.attr.room);
	if not room then
		return refuse(event, "cancel", "not-allowed", "This is no room for a meeting");
	end
	local address = room .. "@" .. host;
	if origin.type == "c2s" and is_too_many(origin, address) then
		return refuse(event, "wait", "resource-constraint", "You ask for too many rooms");
	elseif host == meeting.breakout_muc and not meeting.main_room_of({ jid = address }) then
		return refuse(event, "cancel", "not-allowed", "There is no such breakout room");
	elseif host ~= meeting.breakout_muc and is_closed_to(room, tenant) then
		return refuse(event, "wait", "service-unavailable", "No new meeting begins now");
	end
end

-- Not "iq-set/full/…": Prosody fires that for no full JID, and the proxy takes every address
for _, form in ipairs { "host", "bare", "full" } do
	module:hook("iq/" .. form, check, 1000);
end
