import { assert, assertEquals, assertMatch } from "jsr:@std/assert@1.0.19";
import { BULK, bulk, catalogue, type Line, withBoth } from "./support/bulk.ts";
import { assertError, CREDENTIALS, type TestPort } from "./support/port.ts";
import { run } from "./support/run.ts";
import { type Answer, type Received, withHandler } from "./support/server.ts";

/** A blueprint with properties of every type. */
const APP = {
  identifier: "app",
  title: "App",
  schema: {
    properties: {
      version: { type: "string" },
      replicas: { type: "number" },
      public: { type: "boolean" },
      tags: { type: "array", items: { type: "string" } },
      ports: { type: "array", items: { type: "number" } },
      config: { type: "object" },
      title: { type: "string" },
    },
  },
  relations: {
    owner: { target: "app", required: false, many: false },
    uses: { target: "app", required: false, many: true },
  },
};

/** Lets a test use a local Port with this blueprint, and a folder. */
async function withApps(
  test: (port: TestPort, folder: string) => Promise<void>,
) {
  await withBoth({}, async (port, folder) => {
    const { status } = await port.call("POST", "/blueprints", APP);
    assertEquals(status, 201);
    await test(port, folder);
  });
}

/** Writes the text to a file and reads it with the script. */
async function load(
  port: TestPort,
  path: string,
  text: string,
  flags = "-b app",
) {
  await Deno.writeTextFile(path, text);
  return await bulk(port, "", `${path} ${flags}`);
}

const BOTH: (Line & { title?: string })[] = [
  {
    identifier: "a",
    title: "A, B",
    properties: {
      version: "1.10",
      replicas: 3,
      public: true,
      tags: ["x", "y"],
      ports: [80, 443],
      config: { size: 2, name: "007" },
    },
    relations: {},
  },
  { identifier: "b", properties: {}, relations: { owner: "a", uses: ["a"] } },
];

const CSV = `identifier,title,version,properties.replicas,public,tags,ports,\
config,relations.owner,relations.uses
a,"A, B",1.10,3,TRUE,x|y,80|443,"{""size"": 2, ""name"": ""007""}",,
b,,,,,,,,a,a
`;

const YAML = `# Two apps
- identifier: a
  title: A, B
  properties:
    version: 1.10
    replicas: 3
    public: true
    tags: [x, y]
    ports:
      - 80
      - 443
    config: {size: 2, name: 007}
- identifier: b
  relations:
    owner: a
    uses: [a]
`;

const DOCUMENTS = "---\n" + YAML.replace("# Two apps\n", "")
  .replaceAll(/^(?:- | {2})/gm, "")
  .replace("identifier: b", "---\nidentifier: b");

Deno.test("bulk_upsert_entities reads each format by the ending of the file", async () => {
  const json = JSON.stringify(BOTH, null, 2);
  const cases: [ending: string, text: string][] = [
    ["csv", CSV],
    ["csv", "\ufeff" + CSV.replaceAll("\n", "\r\n")],
    [
      "csv",
      CSV.replaceAll(",", ";").replace("A; B", "A, B").replace("2; ", "2, "),
    ],
    ["yaml", YAML],
    ["yml", DOCUMENTS],
    ["YML", YAML.replaceAll("\n", "\r\n")],
    ["json", json],
    ["json", `{"ok": true, "names": ["[{"],\n"entities": ${json}\n, "n": 2}`],
    ["json", JSON.stringify({ ok: true, entities: BOTH })],
    ["jsonl", BOTH.map((each) => JSON.stringify(each)).join("\n")],
    ["txt", json],
  ];
  await withApps(async (port, folder) => {
    for (const [ending, text] of cases) {
      const path = `${folder}/apps.${ending}`;
      const { code, stdout, stderr } = await load(port, path, text);
      assertEquals(code, 0, `${text}\n${stderr}`);
      const { created, updated } = JSON.parse(stdout);
      assertEquals(created + updated, 2, text);
      const apps = await catalogue(port, "app");
      assertEquals([...apps.values()] as unknown, BOTH, text);
      for (const { identifier } of BOTH) {
        await port.call(
          "DELETE",
          `/blueprints/app/entities/${identifier}?delete_dependents=true`,
        );
      }
    }
  });
});

Deno.test("bulk_upsert_entities takes one entity in YAML and pretty-printed JSON, as in port.yml", async () => {
  const yaml = `identifier: one
blueprint: app
properties:
  version: 2020-01-01
  config:
    on: yes
    off: ~
    half: 0.5
    id: 1e3
`;
  const entity = {
    identifier: "one",
    properties: {
      version: "2020-01-01",
      config: { on: "yes", off: null, half: 0.5, id: "1e3" },
    },
    relations: {},
  };
  const json = JSON.stringify({ blueprint: "app", ...entity }, null, 2);
  await withApps(async (port, folder) => {
    for (const [name, text] of [["port.yml", yaml], ["one.json", json]]) {
      const done = await load(port, `${folder}/${name}`, text ?? "", "");
      assertEquals(done.code, 0, done.stderr);
      assertEquals(await port.entity("app", "one"), entity);
    }
  });
});

Deno.test("bulk_upsert_entities clears with null in YAML, and with empty cells only if asked to", async () => {
  await withApps(async (port, folder) => {
    const csv = `${folder}/apps.csv`;
    await load(port, csv, CSV);
    const empty = "identifier,title,version,relations.uses\nb,,,\na,,,\n";
    await load(port, csv, empty);
    const apps = await catalogue(port, "app");
    assertEquals([...apps.values()] as unknown, BOTH);
    const cleared = await load(port, csv, empty, "-b app --empty-clears");
    assertEquals(cleared.code, 0, cleared.stderr);
    const [a, b] = (await catalogue(port, "app")).values();
    assertEquals([a?.properties?.version, b?.relations], [undefined, {
      owner: "a",
    }]);
    const yaml =
      "identifier: a\nproperties:\n  tags: null\n  ports:\n  config: ~\n";
    await load(port, `${folder}/apps.yaml`, yaml);
    const { properties } = Object(await port.entity("app", "a"));
    assertEquals(properties, { replicas: 3, public: true });
    const quoted = "- identifier: 'null'\n  title: \"~\"\n  properties:\n" +
      "    version: 'null'\n    config: {a: \"null\", b: null, c: '', d: }\n";
    await load(port, `${folder}/apps.yaml`, quoted);
    const { title, properties: kept } = Object(
      await port.entity("app", "null"),
    );
    assertEquals(title, "~");
    assertEquals(kept, {
      version: "null",
      config: { a: "null", b: null, c: "", d: null },
    });
  });
});

Deno.test("bulk_upsert_entities names file, line, row and column of what it cannot read", async () => {
  const cases: [name: string, text: string, reason: string][] = [
    [
      "a.csv",
      'identifier,version\n"a\n",1\nb,1,2\n',
      "a.csv:4: Cannot read row 3: it has 3 cells, but the header has 2",
    ],
    [
      "a.csv",
      "identifier,replicas\na,3\n\nb,three\n",
      'a.csv:4: Cannot use row 4, column replicas: "three" is not a number',
    ],
    [
      "a.csv",
      "identifier,public\na,yes\n",
      'a.csv:2: Cannot use row 2, column public: "yes" is not true or false',
    ],
    ...["a||b", "a|", "|"].map((
      cell,
    ): typeof cases[number] => [
      "a.csv",
      `identifier,tags\na,${cell}\n`,
      "a.csv:2: Cannot use row 2, column tags: an element of the list is empty",
    ]),
    [
      "a.csv",
      "identifier,config\na,{\n",
      "a.csv:2: Cannot use row 2, column config: Cannot read the JSON: Expected",
    ],
    [
      "a.csv",
      "blueprint,identifier,owner\napp,a,b\n",
      "a.csv:2: Cannot use row 2, column owner: the blueprint has no properties.owner, did you mean relations.owner?",
    ],
    [
      "a.csv",
      "blueprint,identifier,Version\napp,a,1\n,,\n",
      "a.csv:2: Cannot use row 2, column Version: the blueprint has no properties.Version, did you mean version?",
    ],
    [
      "a.csv",
      "identifier,version\n,1\n",
      "a.csv:2: Cannot use row 2, column identifier: it is empty",
    ],
    [
      "a.csv",
      'identifier,version\na,5" disk\n',
      "a.csv:2: Cannot read row 2: a quote is in the wrong place; put the whole cell in quotes",
    ],
    [
      "a.csv",
      'identifier,version\na,"1\nb,2\n',
      "a.csv:2: Cannot read the entity: a quote is never closed",
    ],
    [
      "a.yaml",
      "---\n# x\n- identifier: a\n\n- identifier: b\n  properties:\n    replicas: x\n",
      'a.yaml:5: Cannot use the entity: properties.replicas: "x" is not a number',
    ],
    [
      "a.yaml",
      "identifier: a\n---\n\nnope\n",
      "a.yaml:4: Cannot read the entity: it must be a mapping such as identifier: cart",
    ],
    [
      "a.json",
      '{\n"identifier": "a b"}',
      "a.json:1: Cannot use the entity identifier",
    ],
    [
      "a.json",
      '{"entities":\n [{"identifier": "a"},\n{"id": 1}]}',
      "a.json:3: Cannot use the entity: unknown member",
    ],
  ];
  await withApps(async (port, folder) => {
    for (const [name, text, reason] of cases) {
      const { code, stderr } = await load(port, `${folder}/${name}`, text);
      const line = `${folder}/${reason}`;
      assert(stderr.includes(line), `${text}\n${stderr}\n${line}`);
      assertEquals(code, 8, text);
    }
  });
});

Deno.test("bulk_upsert_entities names the file or the row that is not UTF-8", async () => {
  const cases: [name: string, text: string, code: number, what: string][] = [
    ["a.csv", "identifier,caf\xe9\na,1\n", 2, "the header of FILE"],
    ["a.csv", "identifier,version\na,caf\xe9\n", 8, "row 2"],
    ["a.yaml", "identifier: caf\xe9\n", 2, "FILE"],
    ["a.json", '{\n"identifier": "caf\xe9"\n}', 2, "FILE"],
  ];
  await withApps(async (port, folder) => {
    for (const [name, text, code, what] of cases) {
      const path = `${folder}/${name}`;
      const latin = Uint8Array.from(text, (each) => each.charCodeAt(0));
      await Deno.writeFile(path, latin);
      const file = what.replace("FILE", `"${path}"`);
      const done = await bulk(port, "", `${path} -b app`);
      const line =
        `Cannot read ${file}: it is not UTF-8; save the file as UTF-8`;
      assert(done.stderr.includes(line), done.stderr);
      assertEquals(done.code, code, text);
    }
  });
});

Deno.test("bulk_upsert_entities refuses an input that it cannot read at all, and sends nothing", async () => {
  const large = `x: ${"x".repeat(16 * 1024 * 1024)}\n`;
  const cases: [name: string, text: string, reason: string][] = [
    ["a.csv", "", "the file is empty"],
    ["a.csv", "sep=;\nidentifier;title\n", "remove the line sep="],
    [
      "a.csv",
      "Identifier,title\na,A\n",
      "no column is called identifier, but Identifier, title",
    ],
    [
      "a.csv",
      "identifier,version,properties.version\n",
      "two columns are properties.version",
    ],
    ["a.csv", "identifier,,version\n", "column 2 has no name"],
    ["a.csv", 'identifier,"\n', 'the header of "'],
    ["a.csv", "identifier,version\ra,1\rb,2\r", "a name has a line break"],
    ["a.csv", `identifier,${"x".repeat(2 ** 21)}\na,1\n`, "it is over 1 MiB"],
    [
      "a.yaml",
      "a: [1\nb: 2",
      "missing comma between flow collection entries at line 2, column 1",
    ],
    ["a.yaml", "identifier: !Ref x\n", "Cannot resolve unknown tag"],
    ["a.yaml", large, "only up to 16 MiB"],
    ["a.json", '{\n"identifier": "a",\n}', "(line 3 column 1)"],
    ["a.json", '{"a": [{}], "b": [{}]}', "it has 2 lists of objects"],
    ["a.txt", "identifier: a\n", "it looks like YAML; give --format yaml"],
  ];
  await withApps(async (port, folder) => {
    const before = port.log.length;
    for (const [name, text, reason] of cases) {
      const outcome = await load(port, `${folder}/${name}`, text);
      assertError(outcome, 2, reason);
    }
    assertEquals(port.log.length, before);
  });
});

Deno.test("bulk_upsert_entities keeps what fails in the format of the input, ready to be run again", async () => {
  const csv = 'identifier,version,replicas\nok,1,1\nbad,"1\n2",x\nlost,1,2,3\n';
  const yaml =
    "- identifier: ok\n- identifier: bad\n  properties: {version: 007, replicas: x}\n";
  await withApps(async (port, folder) => {
    const failed = `${folder}/failed.csv`;
    const first = await load(
      port,
      `${folder}/apps.csv`,
      csv,
      `-b app --failed-file ${failed}`,
    );
    assertEquals(first.code, 8, first.stderr);
    assertEquals(
      await Deno.readTextFile(failed),
      'identifier,version,replicas\nbad,"1\n2",x\nlost,1,2,3\n',
    );
    const again = await bulk(
      port,
      "",
      `${failed} -b app --failed-file ${failed}`,
    );
    assertMatch(again.stderr, /Cannot upsert 2 of 2 entities/);

    const kept = `${folder}/failed.yaml`;
    await load(
      port,
      `${folder}/apps.yaml`,
      yaml,
      `-b app --failed-file ${kept}`,
    );
    const text = await Deno.readTextFile(kept);
    assertEquals(
      text,
      '--- {"identifier":"bad","properties":{"version":"007","replicas":"x"}}\n',
    );
    const mended = await load(port, kept, text.replace('"x"', "3"));
    assertEquals(mended.code, 0, mended.stderr);
    const { properties } = Object(await port.entity("app", "bad"));
    assertEquals(properties, { version: "007", replicas: 3 });

    for (
      const [input, name, reason] of [
        ["apps.csv", "failed.ndjson", "name it failed.csv"],
        ["apps.yaml", "failed.csv", "name it failed.yaml"],
        ["apps.csv " + folder + "/apps.yaml", "new.csv", "several formats"],
      ]
    ) {
      const flags = `${folder}/${input} -b app --failed-file ${folder}/${name}`;
      const refused = await bulk(port, "", flags);
      assertError(refused, 2, String(reason));
    }
  });
});

Deno.test("bulk_upsert_entities keeps an open quote and large rows of CSV whole, and little in memory", async () => {
  await withApps(async (port, folder) => {
    const row = "b,2\n";
    const rest = 'a,"1\n' + row.repeat(1_000_000);
    const path = `${folder}/apps.csv`;
    const failed = `${folder}/failed.csv`;
    const text = "identifier,version\nok,1\n" + rest;
    const { code, stderr, stdout } = await load(
      port,
      path,
      text,
      `-b app --failed-file ${failed}`,
    );
    assertEquals(code, 8, stderr);
    assertEquals(JSON.parse(stdout).created, 1);
    assertMatch(
      stderr,
      /apps\.csv:3: Cannot send 4000005 bytes: a quote is never closed/,
    );
    assertEquals(
      await Deno.readTextFile(failed),
      text.replace("ok,1\n", "") + "\n",
    );
  });
});

Deno.test("bulk_upsert_entities refuses what YAML aliases blow up or tie into a knot", async () => {
  const lines = ["x0: &x0 [aaaaaaaaaa]"];
  for (let level = 1; level < 12; level++) {
    lines.push(`x${level}: &x${level} [${`*x${level - 1},`.repeat(9)}]`);
  }
  const cases = [
    [lines.join("\n"), "Port accepts at most 1 MiB"],
    ["identifier: a\nproperties: {tags: &t [*t]}", "an alias contains itself"],
  ];
  await withApps(async (port, folder) => {
    for (const [text = "", reason = ""] of cases) {
      const { code, stderr } = await load(port, `${folder}/a.yaml`, text);
      assertEquals(code, 8, stderr);
      assert(stderr.includes(reason), stderr);
    }
  });
});

Deno.test("bulk_upsert_entities names a column that no row can use, and sends no entity", async () => {
  await withApps(async (port, folder) => {
    for (
      const [column, hint] of [["owner", "relations.owner"], [
        "verison",
        "version",
      ]]
    ) {
      const text = `identifier,${column}\na,\n`;
      const done = await load(port, `${folder}/a.csv`, text);
      assertError(
        done,
        2,
        `the blueprint has no properties.${column}, did you mean ${hint}?`,
      );
    }
    assertEquals((await catalogue(port, "app")).size, 0);
  });
});

Deno.test("bulk_upsert_entities reports a blueprint that does not exist once, and keeps every row", async () => {
  await withApps(async (port, folder) => {
    const failed = `${folder}/failed.csv`;
    const rows = Array.from(
      { length: 100 },
      (_, number) => `nowhere,e${number}\n`,
    );
    const text = "blueprint,identifier\n" + rows.join("");
    const path = `${folder}/a.csv`;
    const run = await load(
      port,
      path,
      text,
      `--failed-file ${failed}`,
    );
    assertEquals(run.code, 8);
    assertMatch(
      run.stderr,
      /"nowhere" does not exist; create the blueprint first/,
    );
    assertEquals(await Deno.readTextFile(failed), text);
    const reads = port.log.filter((line) => line.includes("GET"));
    assertEquals(reads.length, 1);
    const at = await load(port, path, "identifier\na\n", "-b nowhere");
    assertError(at, 4, "create the blueprint first");
  });
});

Deno.test("bulk_upsert_entities --shard keeps each row in a part, though the types cannot be read for one of them", async () => {
  const names = Array.from({ length: 20 }, (_, number) => `r${number}`);
  const rows = names.map((name) => `app,${name}`);
  const forbidden = ({ path }: Received): Answer =>
    path.includes("/blueprints/") ? 403 : Response.json({ accessToken: "x" });
  await withApps(async (port, folder) => {
    const path = `${folder}/a.csv`;
    const flags = `${path} --failed-file ${folder}/failed.csv --shard`;
    await Deno.writeTextFile(
      path,
      ["blueprint,identifier", ...rows, ""].join("\n"),
    );
    await withHandler(forbidden, async (API_URL) => {
      const env = { ...CREDENTIALS, API_URL };
      const { code, stderr } = await run(BULK, `${flags} 0/2`, { env });
      assertEquals(code, 3, stderr);
    });
    const failed = await Deno.readTextFile(`${folder}/failed.csv`);
    const other = await bulk(port, "", `${flags} 1/2`);
    assertEquals(other.code, 0, other.stderr);
    const saved = await catalogue(port, "app");
    const lines = failed.split("\n");
    const lost = names.filter((name) =>
      !saved.has(name) && !lines.includes(`app,${name}`)
    );
    assertEquals(lost, []);
  });
});
