import { assertEquals, assertStringIncludes } from "jsr:@std/assert@1.0.19";
import { CIRCLECI } from "./support/calls.ts";
import { withPort } from "./support/port.ts";
import { ROOT, withFolder } from "./support/run.ts";
import { runInShell } from "./support/shell.ts";

Deno.test("Port's examples, as README has them, leave in Port what they say", async () => {
  const readme = await Deno.readTextFile(new URL("scripts/README.md", ROOT));
  const [, commands = ""] =
    /## Port's CircleCI examples.*?```sh\n(.*?)```/s.exec(readme) ?? [];
  // The catalogue is empty; even the blueprints do not exist.
  await withFolder(async (blueprints) => {
    await withPort({ blueprints }, async (port) => {
      const result = await runInShell(commands, port, CIRCLECI);
      assertEquals(result.code, 0, result.stderr);
      assertStringIncludes(result.stdout, `\n${CIRCLECI.CIRCLE_BUILD_URL}\n`);
      const job = Object(await port.entity("ciJob", "new-ci-job"));
      assertEquals(job.relations, { image: ["example-image"] });
      const { triggeredBy, commitHash, runLink, jobBranch } = job.properties;
      assertEquals(triggeredBy, CIRCLECI.CIRCLE_USERNAME);
      assertEquals(commitHash, CIRCLECI.CIRCLE_SHA1);
      assertEquals(runLink, CIRCLECI.CIRCLE_BUILD_URL);
      assertEquals(jobBranch, "https://github.com/acme/shop/tree/main");
      assertEquals(await port.entity("image", "example-image"), {
        identifier: "example-image",
        title: "example-image",
        properties: {
          imageTag: "v1",
          imageRegistry: "https://registry.example.com/shop",
          gitRepoUrl: "https://github.com/acme/shop",
          size: 0.71,
          unitTestCoverage: 25,
        },
        relations: {},
      });
    });
  });
});
