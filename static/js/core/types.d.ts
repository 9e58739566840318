/* The JSON of /api/v1, as far as the scripts read it; OpenAPI has all of it. Types only: no page loads this file. */

export type JobStatus = "queued" | "running" | "succeeded" | "failed" | "cancelled";
export type Verdict = "tumor_detected" | "uncertain" | "no_tumor" | "not_assessed";

/** A code for programs and a sentence for the reader. */
export interface Message {
  code: string;
  message: string;
}

/** What a reader must know of a scan. A warning with a `chip` is shown by that label beside the verdict, too. */
export interface Warning extends Message {
  detail: string | null;
  tone: "info" | "warn";
  chip: string | null;
  /** an empty mask is then not assessed */
  voids_all_clear: boolean;
  voids_finding: boolean;
}

/** The region in doubt with the highest probability. */
export interface Doubt {
  slice: number;
  pixels: number;
  max_probability: number;
  /** in doubt in all */
  regions: number;
}

/** One run of one model on one scan. */
export interface Segmentation {
  id: string;
  status: JobStatus;
  /** null before the run has succeeded, as is its coverage */
  verdict: Verdict | null;
  coverage_percent: number | null;
  /** null where nothing is in doubt */
  doubt: Doubt | null;
  /** seen and not counted; null before the run has succeeded, and in old runs */
  uncounted_pixels: number | null;
  threshold: number;
  min_tumor_pixels: number | null;
  /** is_first_look: the first member of a cascade saw nothing and answered alone */
  slices: { dropped: [row: number, column: number][]; is_first_look: boolean }[];
  /** of a stack, while it runs */
  slices_done: number | null;
  /** from 1; null unless queued */
  queue_position: number | null;
  warnings: Warning[];
  error: Message | null;
}

/** What is said of a DICOM series; nothing of it names a patient. */
export interface Series {
  description: string;
  modality: string;
  /** the year */
  date: string | null;
}

export interface Scan {
  id: string;
  filename: string;
  /** ISO 8601, UTC */
  created_at: string;
  slice_count: number;
  /** null of what is no DICOM */
  series: Series | null;
  /** null where it is of none */
  study: { id: string; name: string } | null;
  /** the newest earlier scan of the very same file */
  same_as: { id: string; filename: string; created_at: string } | null;
  /** the run that the pages show */
  segmentation: Segmentation;
}

/** All runs of a scan, newest first. */
export interface SegmentationList {
  segmentations: Segmentation[];
}

/** A file that was not taken. */
export interface Rejected extends Message {
  filename: string;
}

/** The answer to an upload. */
export interface UploadAnswer {
  scans?: Scan[];
  rejected?: Rejected[];
}

/** The body of a failure; what stands between browser and server may answer in another form. */
export interface ErrorBody {
  code?: string;
  message?: string;
}

export type Stage = "waiting" | "checking" | "running" | "reporting" | "ended";

/** How far an evaluation is, in cases; a case is one slice. */
export interface Progress {
  stage: Stage;
  /** null until the cases are listed */
  total: number | null;
  checked: number;
  done: number;
  rate_per_s: number | null;
  seconds_left: number | null;
  /** cases by outcome */
  outcomes: Record<string, number>;
  /** over the finished slices with tumor */
  mean_dice: number | null;
  /** why work was put back into the queue (a full disk); null mostly */
  waits_for: string | null;
}

export interface Evaluation {
  id: string;
  status: JobStatus;
  progress: Progress;
  /** what the check of the files found; null until it has ended */
  findings: object | null;
  links: { page: string };
}

/** The answer of /readyz: "ok", or what is wrong, by part. */
export interface Readiness {
  worker?: string;
}
