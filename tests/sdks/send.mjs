// Sends what a small shop's server would: a visitor looks around, signs in, and exports an invoice.
//
// node send.mjs CLIENT ADDRESS KEY PERSON: the address is the host's, the person's address is PERSON@example.test.

import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const [client, address, key, person] = process.argv.slice(2);
const email = `${person}@example.test`;
const visitor = `visitor-of-${person}`;
const page = "https://shop.example.test/billing?invite_token=tok_invented_31c";
const exported = { invoice_id: "INV-2041", format: "csv" };

const clients = {
  async posthog() {
    const { PostHog } = await import("posthog-node");
    const posthog = new PostHog(key, { host: `${address}/sources/posthog` });
    posthog.capture({ distinctId: visitor, event: "$pageview", properties: { $current_url: page } });
    await posthog.flush();
    posthog.identify({ distinctId: person, properties: { email } });
    posthog.alias({ distinctId: person, alias: visitor });
    posthog.capture({ distinctId: person, event: "Invoice Exported", properties: exported });
    await posthog.shutdown();
  },

  async segment() {
    const { Analytics } = await import("@segment/analytics-node");
    const analytics = new Analytics({ writeKey: key, host: address, path: "/sources/segment/v1/batch" });
    analytics.on("error", (error) => fail(error));
    analytics.page({ anonymousId: visitor, name: "Billing", properties: { url: page } });
    await analytics.flush();
    analytics.identify({ anonymousId: visitor, userId: person, traits: { email } });
    analytics.track({ userId: person, event: "Invoice Exported", properties: exported });
    await analytics.closeAndFlush();
  },

  async rudder() {
    const Analytics = require("@rudderstack/rudder-sdk-node");
    const analytics = new Analytics(key, { dataPlaneUrl: `${address}/sources/segment`, flushInterval: 100 });
    const sent = (send) => new Promise((done) => send((error) => (error ? fail(error) : done())));
    await sent((done) => analytics.page({ anonymousId: visitor, name: "Billing", properties: { url: page } }, done));
    await sent((done) => analytics.identify({ anonymousId: visitor, userId: person, traits: { email } }, done));
    await sent((done) => analytics.track({ userId: person, event: "Invoice Exported", properties: exported }, done));
    await analytics.flush();
  },

  async amplitude() {
    const amplitude = await import("@amplitude/analytics-node");
    const serverUrl = `${address}/sources/amplitude/2/httpapi`;
    await amplitude.init(key, { serverUrl, flushIntervalMillis: 50, minIdLength: 1 }).promise;
    const sent = async (event) => {
      const { code, message } = await event.promise;
      if (code !== 200) fail(`${code}: ${message}`);
    };
    const properties = { "[Amplitude] Page Location": page };
    await sent(amplitude.track("[Amplitude] Page Viewed", properties, { device_id: visitor }));
    const identify = new amplitude.Identify().set("email", email);
    await sent(amplitude.identify(identify, { device_id: visitor, user_id: person }));
    await sent(amplitude.track("Invoice Exported", exported, { user_id: person }));
  },
};

function fail(error) {
  console.error(`${client}: ${error?.stack ?? JSON.stringify(error)}`);
  process.exit(1);
}

await clients[client]().catch(fail);
process.exit(0);
