import { expect, it } from "vitest";
import { deviceWords } from "@/features/settings/device";

it("browsers are known by what they say of themselves", () => {
  const names = [
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:142.0) Gecko/20100101 Firefox/142.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36",
  ].map((agent) => deviceWords(agent));
  expect(names).toEqual([
    { name: "Chrome on Linux", kind: "computer" },
    { name: "Edge on Windows", kind: "computer" },
    { name: "Firefox on macOS", kind: "computer" },
    { name: "Safari on iPhone", kind: "phone" },
    { name: "Chrome on Android", kind: "phone" },
  ]);
});

it("programs go by their own name, and what says nothing is unknown", () => {
  expect(deviceWords("curl/8.5.0")).toEqual({ name: "curl", kind: "program" });
  expect(deviceWords("node")).toEqual({ name: "node", kind: "program" });
  expect(deviceWords("")).toEqual({ name: "Unknown device", kind: "program" });
});
