// Stand-in (test double): keeps nothing for later
self.addEventListener("fetch", () => {});
