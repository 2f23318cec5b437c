import { describe, expect, it } from "vitest";

import { asProblem, isAbort, Problem, problemOf, unreachable } from "./problem";

describe("problems", () => {
  it("repeats what the server said, and which service said it", () => {
    const body = {
      title: "Model not available",
      status: 422,
      detail: "No worker serves large-v3. Served: base, small.",
      code: "model_not_available",
      service: "jobs",
      request_id: "r-1",
    };
    const problem = problemOf(422, JSON.stringify(body));
    expect(problem).toBeInstanceOf(Problem);
    expect(problem.message).toBe(body.detail);
    expect(problem).toMatchObject({ status: 422, code: "model_not_available", service: "jobs", requestId: "r-1" });
  });

  it.each(["", "<html>Bad gateway</html>", "null", "[1]", '{"detail": 5}'])("is honest about the body %j", (body) => {
    const problem = problemOf(502, body);
    expect(problem.message).toContain("502");
    expect(problem.code).toBe("http_502");
    expect(problem.service).toBeUndefined();
  });

  it("turns whatever is thrown into a problem, and leaves problems as they are", () => {
    const problem = unreachable();
    expect(asProblem(problem)).toBe(problem);
    expect(asProblem(new TypeError("x is not a function")).message).toBe("x is not a function");
    expect(asProblem("words").message).toBe("words");
  });

  it("knows an end on purpose from an error", () => {
    expect(isAbort(new DOMException("stopped", "AbortError"))).toBe(true);
    expect(isAbort(new Error("AbortError"))).toBe(false);
  });
});
