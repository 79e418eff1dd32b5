// Made by Vestibule, role jitsi_web. Changes made here are overwritten.
//
// Takes people who get no further to a page that says why. It stands in the page of a room behind
// the client's own scripts and before they start, and uses no more of them than the public interface
// of lib-jitsi-meet: its connection, its conference, their events. Nothing here puts a token into an
// address.
(function () {
  "use strict";

  var MINUTES = 10 * 60 * 1000; // milliseconds in which a second visit without a token is a loop
  var library = window.JitsiMeetJS;
  var settings = window.config || {};
  var path = window.location.pathname.split("/").slice(1);
  // Machines have no token and nobody who reads
  var machine = /iAm(Recorder|SipGateway)=true/.test(window.location.hash);
  if (!library || !library.JitsiConnection || machine || path.length > 2 || !path[path.length - 1]) {
    return;
  }

  var room = spelled(path[path.length - 1]);
  var tenant = path.length === 2 ? spelled(path[0]) : "";
  var memory = "vestibule login " + tenant + "/" + room;
  var token = /[?&#]jwt=[^&]/.test(window.location.search + window.location.hash);
  var left = false;
  var counted = false; // this visit, among those to the login

  function spelled(part) {
    try {
      return encodeURIComponent(decodeURIComponent(part));
    } catch (error) {
      return encodeURIComponent(part);
    }
  }

  function leave(address) {
    if (!left) {
      left = true;
      window.location.replace(address);
    }
    return true;
  }

  function end(name) {
    return leave("/static/vestibule/" + name + "?room=" + room + (tenant ? "&tenant=" + tenant : ""));
  }

  // Whether the visit goes on elsewhere. The client itself fills in more than the room.
  function login() {
    var address = settings.tokenAuthUrl;
    if (!address) {
      return end("no_token");
    }
    if (!counted) {
      var before;
      try {
        before = Number(window.sessionStorage.getItem(memory));
        window.sessionStorage.setItem(memory, String(Date.now()));
      } catch (error) {
        return end("no_token"); // a loop would go unnoticed
      }
      var asked = /[?&]vestibule=login(&|$)/.test(window.location.search);
      if (Date.now() - before < MINUTES && !asked) {
        return end("came_back");
      }
      counted = true;
    }
    address = address.replace("{room}", room);
    return address.indexOf("{") < 0 && leave(address);
  }

  function expired(jwt, words) {
    if (/\bexp\b/.test(words)) {
      return true;
    }
    try {
      var claims = jwt.split(".")[1].replace(/-/g, "+").replace(/_/g, "/");
      return JSON.parse(window.atob(claims)).exp * 1000 < Date.now();
    } catch (error) {
      return false;
    }
  }

  function embedded() {
    return window.self !== window.top;
  }

  function connectionFailed(connection, error, words) {
    if (error !== library.errors.connection.PASSWORD_REQUIRED) {
      return false;
    }
    if (!connection.token) {
      return login();
    }
    return end(expired(connection.token, words || "") ? "expired" : "refused");
  }

  function conferenceFailed(connection, error, kind) {
    var errors = library.errors.conference;
    if (error === errors.CONFERENCE_DESTROYED) {
      return !embedded() && end("ended"); // else the site around it has its own way
    }
    if (error !== errors.NOT_ALLOWED_ERROR) {
      return false;
    }
    if (kind === "authentication-required") {
      return login();
    }
    if (kind && kind !== "general" && kind !== "room-creation-restriction") {
      return false;
    }
    return end(connection.token && kind !== "room-creation-restriction" ? "other_room" : "not_open");
  }

  // Listeners of these events hear of them where `decide` leaves them to the client.
  function guard(target, add, remove, event, decide) {
    var own = new WeakMap();
    var adds = target[add];
    var removes = target[remove];
    target[add] = function (name, listener) {
      var source = this;
      if (name !== event) {
        return adds.apply(source, arguments);
      }
      var guarded = function () {
        if (!left && !decide.apply(source, arguments)) {
          listener.apply(this, arguments);
        }
      };
      own.set(listener, guarded);
      return adds.call(source, name, guarded);
    };
    if (removes) {
      target[remove] = function (name, listener) {
        return removes.call(this, name, (name === event && own.get(listener)) || listener);
      };
    }
  }

  function watch(conference, connection) {
    var events = library.events.conference;

    function elsewhere() {
      var breakout = conference.getBreakoutRooms && conference.getBreakoutRooms();
      return Boolean(breakout && breakout.isBreakoutRoom && breakout.isBreakoutRoom());
    }

    guard(conference, "on", "off", events.CONFERENCE_FAILED, function (error, kind) {
      return !elsewhere() && conferenceFailed(connection, error, kind);
    });
    guard(conference, "on", "off", events.KICKED, function (participant, reason, replaced) {
      return !replaced && !embedded() && !elsewhere() && end("removed");
    });
    // Nobody here has a name and a password
    conference.authenticateAndUpgradeRole = function () {
      login();
      var never = new Promise(function () {});
      never.cancel = function () {};
      return never;
    };
    return conference;
  }

  if (token) {
    try {
      window.sessionStorage.removeItem(memory);
    } catch (error) {
      // then it was not kept either
    }
  } else if (!(settings.hosts || {}).anonymousdomain && login()) {
    library.app = undefined; // which the page asks before it starts the client
    return;
  }

  var connections = library.JitsiConnection.prototype;
  var failed = library.events.connection.CONNECTION_FAILED;
  guard(connections, "addEventListener", "removeEventListener", failed, function (error, words) {
    return connectionFailed(this, error, words);
  });
  var begin = connections.initJitsiConference;
  connections.initJitsiConference = function () {
    return watch(begin.apply(this, arguments), this);
  };
})();
