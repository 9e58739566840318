/* The programs of the 3-D view, for the graphics processor: rays through a volume, in parallel. The first surface of the
   head is translucent, that of the tumor is not. */

export const VERTEX = `#version 300 es
out vec2 place;
void main() {
  place = vec2(gl_VertexID == 1 ? 3.0 : -1.0, gl_VertexID == 2 ? 3.0 : -1.0); // one triangle covers the picture
  gl_Position = vec4(place, 0.0, 1.0);
}`;

export const FRAGMENT = `#version 300 es
precision highp float;
precision highp sampler3D;
uniform sampler3D voxels;  // red: gray value, green: share of tumor
uniform mat3 turn;         // to the right, up, away from the eye
uniform vec3 box;          // half sides
uniform vec2 view;         // half sides of the picture
uniform float skin;        // gray value of the head's surface
uniform vec3 texel;        // of the texture, 0 to 1
uniform vec3 tumor;        // color
in vec2 place;
out vec4 color;

vec3 slopeOf(vec3 p, vec2 which) {
  vec3 slope;
  for (int axis = 0; axis < 3; axis++) {
    vec3 step = vec3(0.0);
    step[axis] = texel[axis];
    slope[axis] = dot(texture(voxels, p + step).rg - texture(voxels, p - step).rg, which);
  }
  return normalize(slope / (box * texel) + 1e-6);
}

void main() {
  vec3 forward = turn[2] + 1e-6;
  vec3 eye = turn[0] * place.x * view.x + turn[1] * place.y * view.y - turn[2] * 4.0;
  vec3 near = (-box - eye) / forward, far = (box - eye) / forward;
  vec3 first = min(near, far), last = max(near, far);
  float from = max(max(first.x, first.y), first.z), to = min(min(last.x, last.y), last.z);
  color = vec4(0.0, 0.0, 0.0, 1.0);
  if (from >= to) return;
  float step = 2.0 * min(min(box.x * texel.x, box.y * texel.y), box.z * texel.z);
  step = max(step, (to - from) / 400.0);
  vec3 light = normalize(turn[1] * 0.5 - turn[2] + turn[0] * 0.3);
  vec3 shown = vec3(0.0);
  float left = 1.0; // light that has not met a surface
  bool isOutside = true;
  for (float at = from; at < to; at += step) {
    vec3 p = (eye + forward * at) / box * 0.5 + 0.5;
    vec2 value = texture(voxels, p).rg;
    if (value.g > 0.4) {
      float facing = abs(dot(slopeOf(p, vec2(0.0, 1.0)), light));
      shown += left * tumor * (0.35 + 0.65 * facing);
      break;
    }
    if (isOutside && value.r > skin) {
      isOutside = false;
      vec3 slope = slopeOf(p, vec2(1.0, 0.0));
      float rim = 1.0 - abs(dot(slope, turn[2]));
      float veil = 0.3 + 0.5 * rim * rim;
      shown += left * veil * vec3(1.2, 1.26, 1.32) * (0.3 + 0.7 * max(0.0, dot(-slope, light)));
      left *= 1.0 - veil;
    }
  }
  color = vec4(shown, 1.0);
}`;
