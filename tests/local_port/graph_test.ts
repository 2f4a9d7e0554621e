import { assertEquals, assertStringIncludes } from "jsr:@std/assert@1.0.19";
import { XMLParser, XMLValidator } from "npm:fast-xml-parser@4.5.3";
import { type Body, type Client, testPort } from "../support/local_port.ts";
import { SECRET } from "../support/port.ts";

/** A drawing as its links and the number of its lines. */
interface Drawing {
  nodes: { href: string; texts: string[]; isCentre: boolean }[];
  /** The labels of the relations. */
  relations: string[];
  svg: string;
}

async function draw(port: Client, query = ""): Promise<Drawing> {
  const { status, headers, ...response } = await fetch(
    `${port.url}/__local/graph.svg${query}`,
  ).then(async (response) => ({
    status: response.status,
    headers: response.headers,
    text: await response.text(),
  }));
  const svg = response.text;
  assertEquals(status, 200, svg);
  assertEquals(headers.get("content-type"), "image/svg+xml; charset=utf-8");
  assertEquals(XMLValidator.validate(svg), true, svg);
  const lists = ["a", "text"];
  const parser = new XMLParser({
    ignoreAttributes: false,
    parseTagValue: false,
    isArray: (name) => lists.includes(name),
  });
  const { a = [], text = [] } = parser.parse(svg).svg;
  const texts = (list: Body[]) => list.map((text) => String(text["#text"]));
  return {
    nodes: a.map((node: Body) => ({
      href: node["@_href"],
      texts: texts(node.text as Body[]),
      isCentre: node["@_class"] === "node centre",
    })),
    relations: texts(text),
    svg,
  };
}

testPort("lab draws the blueprints and their relations", async (port) => {
  await port.put("image", { identifier: "i" });
  await port.must("POST /blueprints", {
    ...{ identifier: "pet", title: "Pet", schema: { properties: {} } },
    relations: { mother: { target: "pet", required: false, many: false } },
  });
  const { nodes, relations } = await draw(port);
  const found = nodes.filter(({ href }) => /pet|image|service$/.test(href));
  assertEquals(found, [
    {
      href: "#/catalogue/image",
      texts: ["Image", "1 entity"],
      isCentre: false,
    },
    {
      href: "#/catalogue/service",
      texts: ["Service", "0 entities"],
      isCentre: false,
    },
    {
      href: "#/catalogue/pet",
      texts: ["Pet", "0 entities"],
      isCentre: false,
    },
  ]);
  for (const name of ["image", "owners", "mother"]) {
    assertEquals(relations.includes(name), true, name);
  }
  // The service still refers to it.
  await port.must("DELETE /blueprints/team");
  const after = await draw(port);
  assertEquals(after.relations.includes("owners"), false);
});

testPort(
  "lab draws an entity with its neighbours in both directions",
  async (port) => {
    await port.put("team", { identifier: "a" }, {
      identifier: "b",
      title: "B",
    });
    await port.put("image", { identifier: "i" });
    const relations = { image: "i", owners: ["a", "b"] };
    await port.put("service", { identifier: "s", title: "S", relations });
    const { nodes, ...drawing } = await draw(
      port,
      "?blueprint=service&identifier=s",
    );
    assertEquals(nodes.map(({ texts }) => texts.join("/")), [
      "S/service",
      "i/image",
      "a/team",
      "B/team",
    ]);
    assertEquals(nodes.map(({ isCentre }) => isCentre), [
      true,
      ...Array(3).fill(false),
    ]);
    assertEquals([nodes[0]?.href, nodes[3]?.href], [
      "#/catalogue/service/s",
      "#/relations/team/b",
    ]);
    assertEquals(drawing.relations.sort(), ["image", "owners", "owners"]);
    const back = await draw(port, "?blueprint=team&identifier=a");
    assertEquals(back.nodes.map(({ texts }) => texts[0]), ["a", "S"]);
    assertEquals(back.relations, ["owners"]);
  },
);

testPort(
  "lab draws an entity that is related to itself, or to none",
  async (port) => {
    const target = { target: "node", required: false, many: true };
    await port.must("POST /blueprints", {
      ...{ identifier: "node", title: "N", schema: { properties: {} } },
      relations: { ["__proto__"]: target, next: target },
    });
    await port.put("node", { identifier: "constructor" });
    const next = { relations: { next: ["constructor"] } };
    await port.put("node", { identifier: "constructor", ...next });
    await port.put("node", { identifier: "__proto__", ...next });
    const self = await draw(port, "?blueprint=node&identifier=constructor");
    assertEquals(self.nodes.map(({ texts }) => texts[0]), [
      "constructor",
      "__proto__",
    ]);
    assertEquals(self.relations, ["next", "next"]);
    assertEquals((await draw(port)).relations.includes("__proto__"), true);
    await port.put("image", { identifier: "alone" });
    const alone = await draw(port, "?blueprint=image&identifier=alone");
    assertEquals([alone.nodes.length, alone.relations], [1, []]);
  },
);

testPort("lab draws nothing of what text may hold but text", async (port) => {
  const title = `<script>alert(1)</script> "'&\u0000\u001b]]>\ud800 ${SECRET}`;
  const long = "人".repeat(40);
  await port.put("image", { identifier: "a/b:=+\\@", title });
  await port.put("image", { identifier: "long", title: long });
  await port.must("PATCH /blueprints/team", { title: '"><script>x</script>' });
  const entity = await draw(
    port,
    `?blueprint=image&identifier=${encodeURIComponent("a/b:=+\\@")}`,
  );
  assertEquals(entity.nodes[0]?.href, "#/catalogue/image/a%2Fb%3A%3D%2B%5C%40");
  const whole = await draw(port, "?blueprint=image&identifier=long");
  assertEquals(whole.nodes[0]?.texts[0], `${"人".repeat(27)}…`);
  assertStringIncludes(whole.svg, `<title>${long} (image)</title>`);
  for (const { svg } of [entity, await draw(port)]) {
    assertEquals(svg.includes("<script"), false);
    assertEquals(svg.includes(SECRET), false);
    assertStringIncludes(svg, "&lt;script&gt;");
  }
});

testPort("lab lists nodes that are too many for a drawing", async (port) => {
  await port.put("team", { identifier: "t" });
  const names = [...Array(40).keys()].map((number) => `s${number}`);
  const relations = { owners: ["t"] };
  const services = names.map((identifier) => ({ identifier, relations }));
  for (const half of [services.slice(0, 20), services.slice(20, 39)]) {
    await port.put("service", ...half);
  }
  const query = "?blueprint=team&identifier=t";
  assertEquals((await draw(port, query)).nodes.length, 40);
  await port.put("service", ...services.slice(39));
  const [status, answer] = await port.lab(`GET graph.svg${query}`);
  const { message, nodes } = answer;
  assertEquals(status, 413);
  assertEquals(message, "41 nodes are too many for a drawing (at most 40)");
  const [centre, first] = nodes as Body[];
  assertEquals(centre, { href: "#/catalogue/team/t", label: "t" });
  assertEquals(first, { href: "#/relations/service/s0", label: "s0" });
});

testPort("lab draws a catalogue without blueprints", async (port) => {
  const found = (await port.must("GET /blueprints")).blueprints as Body[];
  for (const { identifier } of found) {
    await port.must(`DELETE /blueprints/${identifier}`);
  }
  assertEquals((await draw(port)).nodes, []);
});

testPort("lab refuses to draw what does not exist", async (port) => {
  const cases: [query: string, status: number, message: string][] = [
    ["?blueprint=x&identifier=y", 404, "Blueprint with identifier"],
    ["?blueprint=image&identifier=y", 404, "Entity with identifier"],
    ["?blueprint=image", 422, 'Missing the parameter "identifier"'],
    ["?x=y", 422, 'Unknown parameter "x"'],
  ];
  for (const [query, expected, message] of cases) {
    const [status, answer] = await port.lab(`GET graph.svg${query}`);
    assertEquals([query, status], [query, expected]);
    assertStringIncludes(String(answer.message), message);
  }
});
