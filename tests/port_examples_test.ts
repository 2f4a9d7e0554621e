import { assert, assertEquals } from "jsr:@std/assert@1.0.19";
import { CIRCLECI } from "./support/calls.ts";
import { withPort } from "./support/port.ts";
import { ROOT } from "./support/run.ts";
import { runInShell } from "./support/shell.ts";

Deno.test("Port's examples, as README has them, leave in Port what they say", async () => {
  const readme = await Deno.readTextFile(new URL("README.md", ROOT));
  const [, commands = ""] =
    /## Port's CircleCI examples.*?```sh\n(.*?)```/s.exec(readme) ?? [];
  const blueprints = await Deno.makeTempDir();
  try {
    // Nothing is there yet, not even the blueprints.
    await withPort({ blueprints }, async (port) => {
      const { code, stdout, stderr } = await runInShell(
        commands,
        port,
        CIRCLECI,
      );
      assertEquals(code, 0, stderr);
      assert(stdout.includes(`\n${CIRCLECI.CIRCLE_BUILD_URL}\n`), stdout);
      const job = Object(await port.entity("ciJob", "new-ci-job"));
      assertEquals(job.relations, { image: ["example-image"] });
      const { triggeredBy, commitHash, runLink, jobBranch } = job.properties;
      assertEquals([triggeredBy, commitHash, runLink, jobBranch], [
        CIRCLECI.CIRCLE_USERNAME,
        CIRCLECI.CIRCLE_SHA1,
        CIRCLECI.CIRCLE_BUILD_URL,
        "https://github.com/acme/shop/tree/main",
      ]);
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
  } finally {
    await Deno.remove(blueprints, { recursive: true });
  }
});
