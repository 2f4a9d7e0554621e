import { assert, assertEquals, assertMatch } from "jsr:@std/assert@1.0.19";
import { CIRCLECI, prepare } from "./support/calls.ts";
import { ORB, ORB_TEXT } from "./support/orb.ts";
import { type Config, runJob } from "./support/pipeline.ts";
import {
  CREDENTIALS,
  put,
  type TestPort,
  withPort,
  WRONG_SECRET,
} from "./support/port.ts";
import { ROOT, runProcess, withFolder } from "./support/run.ts";

/** Text that would do harm in a shell line. */
const HOSTILE =
  "\"; touch pwned; $(touch pwned) `touch pwned` ' \\ !x\t<&1 << E\nF";

/** Runs steps, as the only job of a configuration with the orb. */
async function runSteps(port: TestPort, ...steps: Config[]) {
  const config = { orbs: { port: ORB }, jobs: { job: { steps } } };
  return await runJob(config, "job", {}, port);
}

const CHECKOUT = { blueprint: "service", identifier: "checkout" };

async function putCheckout(port: TestPort, properties: Config) {
  await put(port, "service", [{ identifier: "checkout", properties }]);
}

/** The properties of an entity in the catalogue. */
async function properties(port: TestPort, blueprint: string, id: string) {
  return Object(await port.entity(blueprint, id)).properties;
}

const JOB = CIRCLECI.CIRCLE_WORKFLOW_JOB_ID;

/** The elements of a part of the orb, by name. */
function elements(part: string): [name: string, element: Config][] {
  return Object.entries(Object(ORB[part]));
}

/** All `run` steps below a value. */
function runsIn(value: unknown): Config[] {
  if (typeof value !== "object" || value === null) return [];
  const { run } = value as Config;
  const own = typeof run === "object" ? [run as Config] : [];
  return [...own, ...Object.values(value).flatMap(runsIn)];
}

const ELEMENTS = ["executors", "commands", "jobs"].flatMap(elements);

Deno.test("the orb keeps the rules of CircleCI's review", async () => {
  const { description, display } = ORB;
  assert(String(description).length >= 64);
  for (const url of ["home_url", "source_url"]) {
    assertMatch(Object(display)[url], /^https:/);
  }
  for (const [name, element] of [...ELEMENTS, ...elements("examples")]) {
    assertMatch(name, /^[a-z]+(?:_[a-z]+)*$/);
    assert(element.description, name);
  }
  for (const [name, { parameters = {}, steps }] of ELEMENTS) {
    for (const [parameter, it] of Object.entries<Config>(Object(parameters))) {
      assert(it.description, `${name}: ${parameter}`);
      assertEquals(/^\$/.test(String(it.default)), false);
    }
    for (const run of runsIn(steps)) assert(run.name, name);
  }
  const examples = elements("examples").map(([name]) => name);
  assert(examples.length > 0 && !examples.join().includes("example"));
  // Long commands come from files of their own.
  for (const part of ["commands", "jobs"]) {
    const folder = new URL(`.circleci/orb/${part}/`, ROOT);
    for (const { name } of Deno.readDirSync(folder)) {
      const text = await Deno.readTextFile(new URL(name, folder));
      for (const [line] of text.matchAll(/^.*command:.*$/gm)) {
        assertMatch(line, /<<include\((?:bundles|scripts)\/\w+\.sh\)>>$/);
      }
    }
  }
});

Deno.test("the orb's parameters exist, and no other << is left", () => {
  for (const [name, element] of ELEMENTS) {
    const known = Object.keys(Object(element.parameters));
    const text = JSON.stringify(element);
    for (const [, parameter = ""] of text.matchAll(/<<\s*parameters\.(\w+)/g)) {
      assert(known.includes(parameter), `${name}: ${parameter}`);
    }
    for (const { command } of runsIn(element.steps)) {
      assertEquals(/(?<!\\)<</.test(String(command)), false, name);
    }
    // A parameter reaches the shell as a variable only.
    const unused = known.filter((it) => !text.includes(`parameters.${it} >>`));
    assertEquals([name, unused], [name, []]);
  }
});

Deno.test("the orb is small enough for CircleCI and for Linux", () => {
  const size = (value: unknown) =>
    new TextEncoder().encode(JSON.stringify(value)).length;
  assert(ORB_TEXT.length <= 512 * 1024, `${ORB_TEXT.length}`);
  const runs = ELEMENTS.flatMap(([, { steps }]) => runsIn(steps));
  for (const { command } of runs) assert(size(command) <= 100 * 1024);
  const steps = (name: string) =>
    size(Object(elements("commands").find(([id]) => id === name)?.[1]).steps);
  // A report writes its script once.
  const job = steps("report_ci_job") + steps("with_ci_job_report") +
    steps("upsert_entity");
  assert(20 * job < 4_000_000, `${job}`);
});

Deno.test("each example of the orb runs", async () => {
  for (const [name, { usage }] of elements("examples")) {
    const text = JSON.stringify(usage);
    assertMatch(text, /"port":"acme\/port@2\.\d"/);
    const config = { ...Object(usage), orbs: { port: ORB } };
    const jobs = Object.values<Config>(config.workflows)
      .flatMap(({ jobs }) => jobs as Config[]);
    await withPort({}, async (port) => {
      const id = await prepare(port);
      const approvedVersion = CIRCLECI.CIRCLE_SHA1;
      await putCheckout(port, { version: "1.4.1", approvedVersion });
      for (const job of jobs) {
        const [[kind = "", given = {}] = []] = Object.entries(
          job as Record<string, Config>,
        );
        const { context: _, requires: __, ...parameters } = given;
        const pipeline = {
          "pipeline.git.revision": CIRCLECI.CIRCLE_SHA1,
          "pipeline.parameters.port-run-id": id,
        };
        const filled = JSON.parse(
          JSON.stringify(parameters).replace(
            "<< pipeline.git.revision >>",
            CIRCLECI.CIRCLE_SHA1,
          ),
        );
        const result = await runJob(config, kind, filled, port, pipeline);
        assert(!result.isFailed, `${name}: ${result.stderr}`);
        assert(result.ran.length > 0, name);
      }
    });
  }
});

Deno.test("the orb's gate stays shut without a condition, and files must be named", async () => {
  await withPort({}, async (port) => {
    await putCheckout(port, { version: "1" });
    for (const expect of ["", " \n"]) {
      const gate = { "port/gate": { ...CHECKOUT, expect } };
      const { isFailed, stderr } = await runSteps(port, gate);
      assert(isFailed && stderr.includes("its parameter expect is empty"));
    }
    const bulk = { "port/bulk_upsert_entities": { files: "" } };
    const { isFailed, stderr } = await runSteps(port, bulk);
    assert(isFailed && stderr.includes("The parameter files is empty"));
  });
});

Deno.test("the orb's upsert takes values from variables, whatever they hold", async () => {
  await withPort({}, async (port) => {
    const upsert = {
      ...CHECKOUT,
      property_env: "version=BUILT\nlanguage=NONE",
    };
    const { isFailed, stderr } = await runSteps(
      port,
      {
        run:
          `printf 'export BUILT=%q\\n' '${'a"$(touch pwned)'}' >> "$BASH_ENV"`,
      },
      { "port/upsert_entity": upsert },
    );
    assert(!isFailed, stderr);
    const { version, language } = await properties(port, "service", "checkout");
    assertEquals([version, language], ['a"$(touch pwned)', ""]);
    for (const property_env of ["version", "version=x[$(touch pwned)]"]) {
      const bad = { "port/upsert_entity": { ...CHECKOUT, property_env } };
      const refused = await runSteps(port, bad);
      assert(refused.stderr.includes("must be NAME=VARIABLE"), refused.stderr);
    }
  });
});

Deno.test("with_ci_job_report says why nothing is reported after an earlier failure", async () => {
  const path = new URL(".circleci/orb/scripts/report_ci_job.sh", ROOT);
  const text = (await Deno.readTextFile(path)).replaceAll("/tmp/port", "/none");
  const shell = ["-eo", "pipefail", "-c", text];
  const { code, stdout } = await runProcess("bash", shell);
  assertEquals([code, stdout.startsWith("Nothing is reported")], [0, true]);
});

Deno.test("the orb takes credentials from variables of another name", async () => {
  await withPort({}, async (port) => {
    const { PORT_CLIENT_ID, PORT_CLIENT_SECRET } = CREDENTIALS;
    const env = {
      API_URL: port.url,
      PORT_CLIENT_ID: "",
      PORT_CLIENT_SECRET: "",
      MY_ID: PORT_CLIENT_ID,
      MY_SECRET: PORT_CLIENT_SECRET,
    };
    const names = { client_id: "MY_ID", client_secret: "MY_SECRET" };
    const upsert = { "port/upsert_entity": { ...CHECKOUT, ...names } };
    const result = await runSteps({ ...port, env }, upsert);
    assert(!result.isFailed, result.stderr);
  });
});

Deno.test("the orb's bulk command keeps what fails, and close_ci_job closes a report", async () => {
  await withPort({}, async (port) => {
    const files = { files: "a.ndjson\nb.ndjson", blueprint: "service" };
    const write =
      `echo '{"identifier": "a"}' > a.ndjson; echo nothing > b.ndjson`;
    const result = await runSteps(
      port,
      { run: write },
      { "port/bulk_upsert_entities": files },
      {
        run: {
          command: "cat port-failed.txt; ls port-results",
          when: "always",
        },
      },
    );
    assert(result.isFailed);
    assert(result.stdout.endsWith("nothing\nport.xml\n"), result.stdout);
    const report = { status: "running", job: "build" };
    await runSteps(port, { "port/report_ci_job": report });
    const config = { orbs: { port: ORB } };
    await runJob(config, "port/close_ci_job", { job: "build" }, port);
    const id = `${CIRCLECI.CIRCLE_WORKFLOW_ID}-build-0`;
    assertEquals((await properties(port, "ciJob", id)).status, "canceled");
  });
});

Deno.test("the orb's bulk command keeps Port in sync with a CSV file", async () => {
  await withPort({}, async (port) => {
    const write = "printf 'identifier,language\\na,sync\\n' > a.csv";
    const sync = {
      files: "a.csv",
      blueprint: "service",
      changed_only: true,
      prune: "language=sync\nlifecycle:=null",
      prune_max: "100%",
    };
    for (const dry_run of [true, false]) {
      const command = { "port/bulk_upsert_entities": { ...sync, dry_run } };
      const result = await runSteps(port, { run: write }, command);
      assert(!result.isFailed, result.stderr);
      const { log } = port;
      assertEquals(log.some((line) => line.includes("/bulk")), !dry_run);
      assert(log.some((line) => line.includes("/search ")));
    }
  });
});

Deno.test("install_deno uses what is there, else npm, else says what the image lacks", async () => {
  const script =
    new URL(".circleci/orb/scripts/install_deno.sh", ROOT).pathname;
  const cases: [programs: string[], code: number, says: string][] = [
    [["deno", "npm"], 0, "deno --version\n"],
    [["npm"], 0, "npm install --global --prefix"],
    [[], 1, "neither Deno nor npm"],
  ];
  for (const [programs, expected, says] of cases) {
    await withFolder(async (PATH) => {
      for (const name of programs) {
        const text = `#!/bin/bash\necho ${name} "$@"\n`;
        await Deno.writeTextFile(`${PATH}/${name}`, text, { mode: 0o755 });
      }
      // What npm would install.
      await Deno.mkdir(`${PATH}/.local/bin`, { recursive: true });
      const installed = `${PATH}/.local/bin/deno`;
      await Deno.writeTextFile(installed, "#!/bin/bash\n", { mode: 0o755 });
      const BASH_ENV = `${PATH}/env`;
      await Deno.writeTextFile(BASH_ENV, "");
      const env = { PATH, BASH_ENV, HOME: PATH, PARAM_VERSION: "2.9.6" };
      const { code, stdout, stderr } = await runProcess(
        "/bin/bash",
        ["-eo", "pipefail", script],
        { env },
      );
      assertEquals([code, stdout.includes(says) || stderr.includes(says)], [
        expected,
        true,
      ]);
    }, "/tmp");
  }
});

Deno.test("with_ci_job_report leaves a failure in Port and the job red", async () => {
  await withPort({}, async (port) => {
    const fails = { run: { name: "fails", command: "false" } };
    const steps = [{ run: "echo one" }, fails, { run: "echo never" }];
    const result = await runSteps(port, {
      "port/with_ci_job_report": { steps },
    });
    assert(result.isFailed);
    assertEquals(result.ran, [
      "Write report_ci_job.js",
      "Report the job to Port as running",
      "echo one",
      "fails",
      "Report the job to Port as failure",
    ]);
    const { status, finishedAt } = await properties(port, "ciJob", JOB);
    assertEquals(status, "failure");
    assertMatch(finishedAt, /^\d{4}-\d\d-\d\dT.*Z$/);
  });
});

Deno.test("with_ci_job_report fails the job for its report only with soft_fail: false", async () => {
  await withPort({}, async (port) => {
    const env = { ...port.env, ...WRONG_SECRET };
    const report = { steps: [{ run: "echo works" }] };
    const soft = await runSteps({ ...port, env }, {
      "port/with_ci_job_report": report,
    });
    assert(!soft.isFailed && soft.stdout.endsWith("\nworks\n"));
    assertMatch(soft.stderr, /warning: .*\(--soft-fail\) \(https:\S+\/42\)/);
    const hard = await runSteps({ ...port, env }, {
      "port/with_ci_job_report": { ...report, soft_fail: false },
    });
    assert(hard.isFailed && !hard.stdout.includes("works"));
  });
});

Deno.test("upsert_entity and get_entity take hostile parameters for values only", async () => {
  await withPort({}, async (port) => {
    const text = JSON.stringify(HOSTILE);
    const upsert = {
      ...CHECKOUT,
      title: HOSTILE,
      properties: `{"url": "https://acme.test", "language": ${text}}`,
      relations: '{"image": "not+there:yet"}',
      create_missing_related_entities: true,
      set_env: "TITLE=title\nLINK=properties.url",
    };
    const get = {
      ...CHECKOUT,
      expect: `title=${text}\nproperties.version!=1`,
      set_env: "LANGUAGE=properties.language",
    };
    const { isFailed, stderr } = await runSteps(
      port,
      { "port/upsert_entity": upsert },
      { "port/get_entity": get },
      { run: `printf '%s\\n' "$TITLE" "$LINK" "$LANGUAGE" >&2` },
    );
    assert(!isFailed, stderr);
    const values = `${HOSTILE}\nhttps://acme.test\n${HOSTILE}\n`;
    assert(stderr.includes(values), stderr);
  });
});

Deno.test("upsert_entity and get_entity take values that look like flags", async () => {
  await withPort({}, async (port) => {
    const identifier = "--replace";
    const entity = { blueprint: "service", identifier };
    await put(port, "service", [{ identifier, properties: { version: "1" } }]);
    const none = { properties: "", relations: "" };
    const { isFailed, stderr } = await runSteps(
      port,
      { "port/upsert_entity": { ...entity, ...none, title: "--replace" } },
      { "port/get_entity": { ...entity, expect: "title=--replace" } },
      { "port/get_entity": { ...entity, expect: "--select" } },
    );
    assert(isFailed);
    assert(stderr.includes('Cannot read --expect "--select"'), stderr);
    assertEquals(await properties(port, "service", identifier), {
      version: "1",
    });
  });
});

Deno.test("report_ci_job takes hostile parameters for values only", async () => {
  const cases: [parameters: Config, says?: string][] = [
    [{ blueprint: HOSTILE }, "Cannot use the blueprint identifier"],
    [{ blueprint: "--only" }, "Cannot upsert"],
    [{ relations: HOSTILE }, "Cannot read --relation"],
    [{ relations: "--only" }, "Cannot read --relation"],
    [{ relations: `image:=["${HOSTILE}"]` }, "Cannot read --relation"],
    [{ relations: 'image:=["a+b", "c:d"]' }],
  ];
  await withPort({}, async (port) => {
    for (const [parameters, says] of cases) {
      const { isFailed, stderr } = await runSteps(port, {
        "port/report_ci_job": { status: "running", ...parameters },
      });
      assertEquals(isFailed, says !== undefined, stderr);
      assert(stderr.includes(says ?? ""), stderr);
    }
    const { relations } = Object(await port.entity("ciJob", JOB));
    assertEquals(relations, { image: ["a+b", "c:d"] });
  });
});

Deno.test("upsert_entity can replace, and can fail softly", async () => {
  await withPort({}, async (port) => {
    await putCheckout(port, { version: "1", replicas: 2 });
    const upsert = (parameters: Config) => ({
      "port/upsert_entity": { ...CHECKOUT, ...parameters },
    });
    const { isFailed, stderr } = await runSteps(
      port,
      upsert({ properties: '{"version": "2"}', replace: true }),
      upsert({ properties: '{"colour": "red"}', soft_fail: true }),
    );
    assert(!isFailed, stderr);
    const after = { version: "2" };
    assertEquals(await properties(port, "service", "checkout"), after);
  });
});

Deno.test("get_entity waits for what is expected", async () => {
  await withPort({}, async (port) => {
    const expect = "properties.approvedVersion=1.4.2";
    const get = { "port/get_entity": { ...CHECKOUT, expect, wait: "1s" } };
    const { isFailed, stderr } = await runSteps(port, get);
    assert(isFailed);
    assertMatch(stderr, /Waiting: Cannot get entity[^]* \(waited 1 s\)/);
    await putCheckout(port, { approvedVersion: "1.4.2" });
    assert(!(await runSteps(port, get)).isFailed);
  });
});

Deno.test("get_entity lets a first deploy pass, with a default for its variables", async () => {
  await withPort({}, async (port) => {
    const first = {
      ...CHECKOUT,
      set_env: "PREVIOUS=properties.version",
      default: "none",
      expect: "properties.locked_in_prod!=true",
      allow_missing: true,
    };
    const steps = [{ "port/get_entity": first }, {
      run: 'echo "was $PREVIOUS"',
    }];
    const { isFailed, stdout, stderr } = await runSteps(port, ...steps);
    assert(!isFailed, stderr);
    assertMatch(stdout, /was none/);
    const shut = { ...first, allow_missing: false };
    assert((await runSteps(port, { "port/get_entity": shut })).isFailed);
  });
});
