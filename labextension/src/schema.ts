// Made by labextension/scripts/schema.py from the API's description: change conda_store_hub/core/schemas instead.

export type paths = Record<string, never>;
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /** @description `PUT /api/v1/environment/{ns}/{name}/`. */
        readonly ActivateBuild: {
            /**
             * @description The build to make the active one: a completed one of this environment.
             * @default null
             */
            readonly build_id?: number | null;
            /**
             * @description A new description, at most 4000 characters.
             * @default null
             */
            readonly description?: string | null;
        };
        /** @description One artifact of a build; `size` in bytes. */
        readonly Artifact: {
            readonly id: number;
            readonly build_id: number;
            readonly artifact_type: components["schemas"]["ArtifactType"];
            readonly state: components["schemas"]["ArtifactState"];
            readonly key: string;
            /** @default null */
            readonly size?: number | null;
            /** @default null */
            readonly sha256?: string | null;
            /** @default null */
            readonly error?: string | null;
            /**
             * @description What it lacks of what was asked for.
             * @default null
             */
            readonly note?: string | null;
            /**
             * @description Where it is served, below the service's address; null for what is not.
             * @default null
             */
            readonly address?: string | null;
        };
        /**
         * @description The state of one artifact: an environment is usable before its artifacts are there.
         * @enum {string}
         */
        readonly ArtifactState: "PENDING" | "READY" | "FAILED" | "DELETED";
        /**
         * @description What a build yields; the first five are conda-store's.
         * @enum {string}
         */
        readonly ArtifactType: "LOGS" | "LOCKFILE" | "YAML" | "CONDA_PACK" | "DOCKER_MANIFEST" | "EXPLICIT" | "PIXI_LOCK" | "SBOM" | "OCI_ARCHIVE" | "RECORDS" | "PIP_LOCK";
        /** @description A build in full. */
        readonly Build: {
            readonly id: number;
            readonly environment_id: number;
            readonly specification_id: number;
            readonly status: components["schemas"]["BuildStatus"];
            /** @default null */
            readonly status_info?: string | null;
            /** @default null */
            readonly error_code?: string | null;
            /** @default 0 */
            readonly size?: number;
            /** @default 0 */
            readonly shared_size?: number;
            /** Format: date-time */
            readonly scheduled_on: string;
            /** @default null */
            readonly started_on?: string | null;
            /** @default null */
            readonly ended_on?: string | null;
            /** @default null */
            readonly requested_by?: string | null;
            readonly build_key: string;
            readonly namespace: string;
            readonly environment: string;
            /** @default false */
            readonly active?: boolean;
            /**
             * @description Place in the queue, from 1, while QUEUED.
             * @default null
             */
            readonly position?: number | null;
            /**
             * @description Whether it is protected from being deleted.
             * @default false
             */
            readonly pinned?: boolean;
            /**
             * @description When what it left on disk was deleted; it stays listed.
             * @default null
             */
            readonly deleted_on?: string | null;
            /**
             * @description The build from whose lock it was made, without a solve.
             * @default null
             */
            readonly lock_build_id?: number | null;
            /**
             * @description In a list that is filtered by `packages`: what it has of them.
             * @default null
             */
            readonly matching?: readonly components["schemas"]["MatchingPackage"][] | null;
            readonly specification: components["schemas"]["SpecificationView"];
            /** @description On the wire, those that are there: conda-store's clients take an artifact that is listed for one they can get. */
            readonly build_artifacts: readonly components["schemas"]["Artifact"][];
            /** @description On the wire, those that are pending or could not be made. */
            readonly unfinished_artifacts?: readonly components["schemas"]["Artifact"][];
            /** @description Those that can be asked for beyond these. */
            readonly further_artifacts?: readonly components["schemas"]["FurtherArtifact"][];
            readonly phases: readonly components["schemas"]["PhaseTime"][];
            /**
             * @description Path of the prefix, told only to whom may read the environment.
             * @default null
             */
            readonly prefix?: string | null;
            /** @description What people call it; its image is pulled by each. */
            readonly tags?: readonly string[];
        };
        /** @description The answer to a submission. */
        readonly BuildId: {
            readonly build_id: number;
        };
        /**
         * @description The state of a build, spelled as on conda-store's wire.
         * @enum {string}
         */
        readonly BuildStatus: "QUEUED" | "BUILDING" | "COMPLETED" | "FAILED" | "CANCELED";
        /** @description A build in lists. `size` is in bytes that go when it goes, `shared_size` what it shares. */
        readonly BuildSummary: {
            readonly id: number;
            readonly environment_id: number;
            readonly specification_id: number;
            readonly status: components["schemas"]["BuildStatus"];
            /** @default null */
            readonly status_info?: string | null;
            /** @default null */
            readonly error_code?: string | null;
            /** @default 0 */
            readonly size?: number;
            /** @default 0 */
            readonly shared_size?: number;
            /** Format: date-time */
            readonly scheduled_on: string;
            /** @default null */
            readonly started_on?: string | null;
            /** @default null */
            readonly ended_on?: string | null;
            /** @default null */
            readonly requested_by?: string | null;
            readonly build_key: string;
            readonly namespace: string;
            readonly environment: string;
            /** @default false */
            readonly active?: boolean;
            /**
             * @description Place in the queue, from 1, while QUEUED.
             * @default null
             */
            readonly position?: number | null;
            /**
             * @description Whether it is protected from being deleted.
             * @default false
             */
            readonly pinned?: boolean;
            /**
             * @description When what it left on disk was deleted; it stays listed.
             * @default null
             */
            readonly deleted_on?: string | null;
            /**
             * @description The build from whose lock it was made, without a solve.
             * @default null
             */
            readonly lock_build_id?: number | null;
            /**
             * @description In a list that is filtered by `packages`: what it has of them.
             * @default null
             */
            readonly matching?: readonly components["schemas"]["MatchingPackage"][] | null;
        };
        /** @description One file of a package in a channel; `size` is in bytes as downloaded. */
        readonly ChannelPackage: {
            readonly name: string;
            readonly version: string;
            readonly build: string;
            readonly build_number: number;
            readonly channel: string;
            readonly subdir: string;
            readonly file: string;
            readonly url: string;
            readonly size: number | null;
            readonly license: string | null;
            readonly timestamp: string | null;
            readonly sha256: string | null;
            readonly depends: readonly string[];
            /** @enum {string} */
            readonly type: ".conda" | ".tar.bz2";
        };
        /** @description A channel that could not be read, and why; what stands in the answer is of the others. */
        readonly ChannelProblem: {
            readonly channel: string;
            readonly message: string;
        };
        /** @description `POST …/clone/`: where to, and under which name. */
        readonly CloneEnvironment: {
            readonly namespace: string;
            readonly name: string;
        };
        /** @description A package of a build that is not in its channel as it was. */
        readonly DepartedPackage: {
            readonly name: string;
            readonly version: string;
            readonly build: string;
            readonly channel: string;
            readonly subdir: string;
        };
        /** @description `GET /api/v1/build/ID/departed/`: what could not be installed again from where it came from. */
        readonly DepartedPackages: {
            /** @description No longer in their channel. */
            readonly gone: readonly components["schemas"]["DepartedPackage"][];
            /** @description Another file by the same name now. */
            readonly changed: readonly components["schemas"]["DepartedPackage"][];
            /** @description Of channels that could not be read. */
            readonly unknown: readonly components["schemas"]["DepartedPackage"][];
            readonly problems: readonly components["schemas"]["ChannelProblem"][];
        };
        /** @description An environment; `current_build` only when one is asked for. */
        readonly Environment: {
            readonly id: number;
            readonly namespace: components["schemas"]["Namespace"];
            readonly name: string;
            /** @default  */
            readonly description?: string;
            readonly current_build_id: number | null;
            /** @default null */
            readonly current_build?: components["schemas"]["Build"] | null;
            /**
             * @description Bytes of the active build on the disk, with those that it shares with others.
             * @default null
             */
            readonly current_size?: number | null;
            /** @default null */
            readonly latest_build_id?: number | null;
            /** @default null */
            readonly latest_status?: components["schemas"]["BuildStatus"] | null;
            /** @default null */
            readonly updated_on?: string | null;
            /**
             * @description In a list that is filtered by `packages`: what the active build has of them.
             * @default null
             */
            readonly matching?: readonly components["schemas"]["MatchingPackage"][] | null;
            /**
             * @description The file that it follows, below the directory that is watched; only when one environment is asked for.
             * @default null
             */
            readonly watched_file?: string | null;
        };
        /** @description The envelope of an error: a stable code and a sentence; line and column count from 1. */
        readonly ErrorAnswer: {
            /**
             * @default error
             * @constant
             */
            readonly status?: "error";
            readonly message: string;
            readonly code: string;
            /** @default null */
            readonly line?: number | null;
            /** @default null */
            readonly column?: number | null;
            /**
             * @description Only of a solve that comes to nothing: the solver's own words, over several lines.
             * @default null
             */
            readonly detail?: string | null;
        };
        /** @description A package of a channel, under conda-store's keys and ours; None is what could not be read. */
        readonly FoundPackage: {
            /** @description Its number in the list that was asked for; it means nothing elsewhere. */
            readonly id: number;
            readonly name: string;
            readonly channel: {
                readonly [key: string]: unknown;
            };
            /** @description The newest one, or the one that this is about. */
            readonly version: string | null;
            /** @description How many versions there are. */
            readonly versions: number | null;
            /** @default null */
            readonly license?: string | null;
            /** @default null */
            readonly summary?: string | null;
        };
        /** @description What a build does not have, and could: it is made when somebody first asks for it at its address. */
        readonly FurtherArtifact: {
            readonly artifact_type: components["schemas"]["ArtifactType"];
            readonly address: string;
        };
        /** @description A value as it was set in one place. */
        readonly GivenSetting: {
            readonly source: components["schemas"]["Scope"];
            readonly value: components["schemas"]["JsonValue"];
        };
        /** @description `PUT …/member/`: give a role, or change it. */
        readonly GrantRole: {
            readonly subject: components["schemas"]["SubjectKind"];
            /**
             * @description The Hub's name of the user or the group, to the letter.
             * @default null
             */
            readonly name?: string | null;
            readonly role: components["schemas"]["Role"];
            /**
             * @description Left out, the end of the role that is changed stays as it is, and a new one has none; null is no end.
             * @default null
             */
            readonly expires_on?: string | null;
        };
        readonly JsonValue: unknown;
        /** @description A package that was searched for. */
        readonly MatchingPackage: {
            /** @enum {string} */
            readonly manager: "conda" | "pip";
            readonly name: string;
            readonly version: string;
            readonly build: string;
        };
        /** @description Who has a role on a namespace or an environment; `id` is None where that follows from whose it is. */
        readonly Member: {
            /** @default null */
            readonly id?: number | null;
            readonly subject: components["schemas"]["SubjectKind"];
            /**
             * @description The Hub's name of the user or the group.
             * @default null
             */
            readonly name?: string | null;
            readonly role: components["schemas"]["Role"];
            /** @default null */
            readonly expires_on?: string | null;
            /** @default null */
            readonly granted_by?: string | null;
            /** @default null */
            readonly created_on?: string | null;
        };
        /**
         * @description How a value that is set further in bears on the one that counts further out.
         * @enum {string}
         */
        readonly Merge: "nearest" | "capped" | "least" | "all" | "common" | "both";
        /** @description A namespace; `hub_name` is the raw name of the Hub's user or group. */
        readonly Namespace: {
            readonly id: number;
            readonly name: string;
            readonly kind: string;
            /** @default null */
            readonly hub_name?: string | null;
        };
        /** @description A namespace in full, and what who asks may do in it. */
        readonly NamespaceDetails: {
            readonly id: number;
            readonly name: string;
            readonly kind: string;
            /** @default null */
            readonly hub_name?: string | null;
            readonly metadata_: {
                readonly [key: string]: components["schemas"]["JsonValue"];
            };
            /** Format: date-time */
            readonly created_on: string;
            /** @description Whether its owner's Hub name is somebody else's now: then it is the administrators' alone. */
            readonly sealed: boolean;
            readonly role: components["schemas"]["Role"] | null;
            readonly permissions: readonly components["schemas"]["Permission"][];
            readonly usage: components["schemas"]["Usage"];
        };
        /** @description A namespace in lists. */
        readonly NamespaceSummary: {
            readonly id: number;
            readonly name: string;
            readonly kind: string;
            /** @default null */
            readonly hub_name?: string | null;
            /** @description How many environments it has. */
            readonly environments: number;
        };
        /** @description `PUT …/rename/`, and `PUT …/restore/` where the old name is taken. */
        readonly NewName: {
            /** @default null */
            readonly name?: string | null;
        };
        /** @description A package of a build. */
        readonly Package: {
            readonly id: number;
            /** @enum {string} */
            readonly manager: "conda" | "pip";
            readonly name: string;
            readonly version: string;
            readonly build: string;
            readonly channel: {
                readonly [key: string]: unknown;
            };
            /** @default null */
            readonly license?: string | null;
            /** @default null */
            readonly summary?: string | null;
            /** @default 0 */
            readonly size?: number;
            /**
             * @description Somebody asked for it, a policy adds it, or another package needs it; null in builds of older versions.
             * @default null
             */
            readonly reason?: components["schemas"]["PackageReason"] | null;
            /**
             * @description With `why`: the first 20 packages of the build that need it, by name.
             * @default null
             */
            readonly needed_by?: readonly string[] | null;
            /**
             * @description With `why`: how many they are.
             * @default null
             */
            readonly needed_by_count?: number | null;
        };
        /** @description A package that two builds have differently. */
        readonly PackageChange: {
            readonly old: components["schemas"]["PackageVersion"];
            readonly new: components["schemas"]["PackageVersion"];
        };
        /** @description What changed from one build to another. */
        readonly PackageDiff: {
            readonly added: readonly components["schemas"]["PackageVersion"][];
            readonly removed: readonly components["schemas"]["PackageVersion"][];
            readonly changed: readonly components["schemas"]["PackageChange"][];
            readonly unchanged: number;
        };
        /**
         * @description Why a package is in a build: somebody asked for it, a policy adds it, or another package needs it.
         * @enum {string}
         */
        readonly PackageReason: "asked" | "policy" | "needed";
        /** @description A package as one build has it. */
        readonly PackageVersion: {
            /** @enum {string} */
            readonly manager: "conda" | "pip";
            readonly name: string;
            readonly version: string;
            /** @default  */
            readonly build?: string;
            /** @default  */
            readonly channel?: string;
        };
        /**
         * @description What one may do; the texts are those of conda-store's API v1, where it has the thing.
         * @enum {string}
         */
        readonly Permission: "environment::read" | "environment:create" | "environment::update" | "environment::delete" | "build::cancel" | "build::delete" | "namespace::read" | "namespace::create" | "namespace::update" | "namespace::delete" | "namespace-role-mapping::read" | "namespace-role-mapping::update" | "audit::read" | "setting::read" | "setting::update" | "metrics::read" | "image::request";
        /** @description `GET /api/v1/permission/`; keys hold exactly one `/`. */
        readonly PermissionSummary: {
            readonly authenticated: boolean;
            readonly primary_namespace: string;
            readonly entity_permissions: {
                readonly [key: string]: readonly string[];
            };
            readonly entity_roles: {
                readonly [key: string]: readonly string[];
            };
            /** @default null */
            readonly expiration?: string | null;
        };
        /**
         * @description The steps of a build, in order; those after `activate` do not hold the environment back.
         * @enum {string}
         */
        readonly Phase: "solve" | "install" | "bytecode" | "pip" | "activate" | "yaml" | "lockfile" | "explicit" | "pixi_lock" | "sbom" | "archive" | "image" | "image_archive";
        /** @description How long a phase took, in seconds; None while it runs. */
        readonly PhaseTime: {
            readonly phase: components["schemas"]["Phase"];
            /** @default null */
            readonly seconds?: number | null;
        };
        /** @description `PUT /api/v1/build/{id}/pin/`. */
        readonly PinBuild: {
            /** @default true */
            readonly pinned?: boolean;
        };
        /** @description `PUT /api/v1/build/{id}/`. */
        readonly Rebuild: {
            /**
             * @description From the lock of that build; else with a new solve of its specification.
             * @default false
             */
            readonly exact?: boolean;
            /**
             * @description Whether the build becomes active by itself.
             * @default true
             */
            readonly activate?: boolean;
        };
        /** @description Where container tools find the images. */
        readonly RegistryPlace: {
            /**
             * @description What stands before the name of an image; null: the host at which people see the Hub, with `port` if given.
             * @default null
             */
            readonly address?: string | null;
            /** @default null */
            readonly port?: number | null;
        };
        /**
         * @description A named set of permissions, from the weakest to the strongest.
         * @enum {string}
         */
        readonly Role: "viewer" | "developer" | "admin";
        /**
         * @description Where a value comes from, from the outermost to the innermost.
         * @enum {string}
         */
        readonly Scope: "configuration" | "service" | "namespace" | "environment";
        /** @description What counts for a key, and why. */
        readonly Setting: {
            readonly value: components["schemas"]["JsonValue"];
            /** @description The innermost place that made a difference. */
            readonly source: components["schemas"]["Scope"];
            /** @description What was set, from the outermost place to the innermost. */
            readonly given: readonly components["schemas"]["GivenSetting"][];
            readonly description: string;
            /** @description What it can be set to. */
            readonly takes: string;
            /** @description How what is set further in bears on what counts further out. */
            readonly merge: components["schemas"]["Merge"];
            /** @description Whether it can be set for this kind of place. */
            readonly settable: boolean;
        };
        /** @description `POST /api/v1/specification/solve/`. */
        readonly SolveSpecification: {
            /** @description An `environment.yaml` of at most 1 MB, or a lock file of at most 4 MB: conda-lock's, or an `@EXPLICIT` list. */
            readonly specification: string;
            /**
             * @description Where the environment is or will be; without it, in the namespace of who asks.
             * @default null
             */
            readonly namespace?: string | null;
            /**
             * @description Refuse what is no lock file; one is known by itself, too.
             * @default false
             */
            readonly is_lockfile?: boolean;
            /**
             * @description For a text without `name:`, which a lock file is; it must not have another one.
             * @default null
             */
            readonly environment_name?: string | null;
            /**
             * @description With a new solve, even if nothing changed since the same was solved for.
             * @default false
             */
            readonly fresh?: boolean;
            /**
             * @description For which platform, such as `osx-arm64`; the service's without one.
             * @default null
             */
            readonly platform?: ("emscripten-wasm32" | "linux-32" | "linux-64" | "linux-aarch64" | "linux-armv6l" | "linux-armv7l" | "linux-ppc64le" | "linux-riscv64" | "linux-s390x" | "noarch" | "osx-64" | "osx-arm64" | "win-32" | "win-64" | "win-arm64") | null;
        };
        /** @description A package that a solve picked; `size` is in bytes as downloaded, hashes are hex. */
        readonly SolvedPackage: {
            /** @enum {string} */
            readonly manager: "conda" | "pip";
            readonly name: string;
            readonly version: string;
            /** @default  */
            readonly build?: string;
            /** @default  */
            readonly channel?: string;
            /** @default  */
            readonly subdir?: string;
            /** @default  */
            readonly url?: string;
            /** @default  */
            readonly sha256?: string;
            /** @default 0 */
            readonly size?: number;
            /** @default  */
            readonly license?: string;
            /**
             * @description Somebody asked for it, a policy adds it, or another package needs it.
             * @default null
             */
            readonly reason?: components["schemas"]["PackageReason"] | null;
            /**
             * @description The first 20 of these packages that need it, by name.
             * @default []
             */
            readonly needed_by?: readonly string[];
            /**
             * @description How many they are.
             * @default 0
             */
            readonly needed_by_count?: number;
        };
        /** @description `POST /api/v1/specification/solve/`: what would be built; lines of pip are not part of a solve. */
        readonly SolvedSpecification: {
            readonly packages: readonly components["schemas"]["SolvedPackage"][];
            /**
             * @description The active build of the environment, if it is there and may be seen.
             * @default null
             */
            readonly active_build_id?: number | null;
            /**
             * @description What changes from that build's conda packages to these.
             * @default null
             */
            readonly diff?: components["schemas"]["PackageDiff"] | null;
            /** @description Whether an earlier solve still holds, so that there was none. */
            readonly reused: boolean;
            readonly seconds: number;
        };
        /** @description A specification: `spec` as conda-store's clients expect it, `text` as it was typed. */
        readonly SpecificationView: {
            readonly id: number;
            readonly name: string;
            readonly sha256: string;
            /** Format: date-time */
            readonly created_on: string;
            readonly spec: {
                readonly [key: string]: unknown;
            };
            readonly text: string;
        };
        /**
         * @description To whom a role can be given.
         * @enum {string}
         */
        readonly SubjectKind: "user" | "group" | "authenticated" | "anyone";
        /** @description `POST /api/v1/specification/`; the keys are the released client's. */
        readonly SubmitSpecification: {
            /** @description An `environment.yaml` of at most 1 MB, or a lock file of at most 4 MB: conda-lock's, or an `@EXPLICIT` list. */
            readonly specification: string;
            /**
             * @description Where the environment is or will be; without it, in the namespace of who asks.
             * @default null
             */
            readonly namespace?: string | null;
            /**
             * @description Refuse what is no lock file; one is known by itself, too.
             * @default false
             */
            readonly is_lockfile?: boolean;
            /**
             * @description For a text without `name:`, which a lock file is; it must not have another one.
             * @default null
             */
            readonly environment_name?: string | null;
            /**
             * @description With a new solve, even if nothing changed since the same was solved for.
             * @default false
             */
            readonly fresh?: boolean;
            /**
             * @description Instead of the specification's `description:`; at most 4000 characters.
             * @default null
             */
            readonly environment_description?: string | null;
            /**
             * @description Whether the build becomes active by itself.
             * @default true
             */
            readonly activate?: boolean;
            /**
             * @description The newest build that the environment had when one began to edit, 0 if the environment has to be new.
             *
             *     If its newest is of another specification now, nothing is submitted.
             * @default null
             */
            readonly latest_build_id?: number | null;
        };
        /** @description What a namespace holds; the keys are conda-store's. `storage` is bytes that would be free if all of it went. */
        readonly Usage: {
            readonly num_environments: number;
            readonly num_builds: number;
            readonly storage: number;
        };
        /** @description `GET /api/v1/`. */
        readonly Version: {
            readonly version: string;
            /**
             * @description Null where images are not offered.
             * @default null
             */
            readonly registry?: components["schemas"]["RegistryPlace"] | null;
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type ActivateBuild = components['schemas']['ActivateBuild'];
export type Artifact = components['schemas']['Artifact'];
export type ArtifactState = components['schemas']['ArtifactState'];
export type ArtifactType = components['schemas']['ArtifactType'];
export type Build = components['schemas']['Build'];
export type BuildId = components['schemas']['BuildId'];
export type BuildStatus = components['schemas']['BuildStatus'];
export type BuildSummary = components['schemas']['BuildSummary'];
export type ChannelPackage = components['schemas']['ChannelPackage'];
export type ChannelProblem = components['schemas']['ChannelProblem'];
export type CloneEnvironment = components['schemas']['CloneEnvironment'];
export type DepartedPackage = components['schemas']['DepartedPackage'];
export type DepartedPackages = components['schemas']['DepartedPackages'];
export type Environment = components['schemas']['Environment'];
export type ErrorAnswer = components['schemas']['ErrorAnswer'];
export type FoundPackage = components['schemas']['FoundPackage'];
export type FurtherArtifact = components['schemas']['FurtherArtifact'];
export type GivenSetting = components['schemas']['GivenSetting'];
export type GrantRole = components['schemas']['GrantRole'];
export type JsonValue = components['schemas']['JsonValue'];
export type MatchingPackage = components['schemas']['MatchingPackage'];
export type Member = components['schemas']['Member'];
export type Merge = components['schemas']['Merge'];
export type Namespace = components['schemas']['Namespace'];
export type NamespaceDetails = components['schemas']['NamespaceDetails'];
export type NamespaceSummary = components['schemas']['NamespaceSummary'];
export type NewName = components['schemas']['NewName'];
export type Package = components['schemas']['Package'];
export type PackageChange = components['schemas']['PackageChange'];
export type PackageDiff = components['schemas']['PackageDiff'];
export type PackageReason = components['schemas']['PackageReason'];
export type PackageVersion = components['schemas']['PackageVersion'];
export type Permission = components['schemas']['Permission'];
export type PermissionSummary = components['schemas']['PermissionSummary'];
export type Phase = components['schemas']['Phase'];
export type PhaseTime = components['schemas']['PhaseTime'];
export type PinBuild = components['schemas']['PinBuild'];
export type Rebuild = components['schemas']['Rebuild'];
export type RegistryPlace = components['schemas']['RegistryPlace'];
export type Role = components['schemas']['Role'];
export type Scope = components['schemas']['Scope'];
export type Setting = components['schemas']['Setting'];
export type SolveSpecification = components['schemas']['SolveSpecification'];
export type SolvedPackage = components['schemas']['SolvedPackage'];
export type SolvedSpecification = components['schemas']['SolvedSpecification'];
export type SpecificationView = components['schemas']['SpecificationView'];
export type SubjectKind = components['schemas']['SubjectKind'];
export type SubmitSpecification = components['schemas']['SubmitSpecification'];
export type Usage = components['schemas']['Usage'];
export type Version = components['schemas']['Version'];
export type $defs = Record<string, never>;
export type operations = Record<string, never>;
